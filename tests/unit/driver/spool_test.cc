// Spooling: what is kept where, caps, and the errnos of a disk.
#include "driver/spool.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "support/scripted_sys.h"

namespace iotax::driver {
namespace {

using support::ScriptedSys;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

template <class Store>
std::string whole(Store& store, std::size_t step = 3) {
  std::string all;
  for (;;) {
    std::vector<std::byte> part(step);
    const auto got = store.read_at(all.size(), part);
    EXPECT_TRUE(got) << got.error();
    if (!got || *got == 0) return all;
    all.append(reinterpret_cast<const char*>(part.data()), *got);
  }
}

TEST(SpoolFile, KeepsBytesAndGivesTheBudgetBack) {
  ScriptedSys sys;
  SpoolBudget budget(100);
  {
    SpoolFile<ScriptedSys> file(sys, budget, "");
    EXPECT_EQ(file.fd(), -1);
    EXPECT_EQ(file.append({}), Stored::ok);
    EXPECT_EQ(sys.calls("open_temporary"), 0U) << "nothing to keep, no file";
    EXPECT_EQ(file.append(bytes_of("hello ")), Stored::ok);
    EXPECT_EQ(file.append(bytes_of("world")), Stored::ok);
    EXPECT_EQ(whole(file), "hello world");
    EXPECT_EQ(budget.left(), 89U);
    EXPECT_EQ(sys.open_descriptors(), 1U);
  }
  EXPECT_EQ(budget.left(), 100U);
  EXPECT_EQ(sys.open_descriptors(), 0U);
}

TEST(SpoolFile, CapIsExact) {
  ScriptedSys sys;
  SpoolBudget budget(4);
  SpoolFile<ScriptedSys> one(sys, budget, "/spool"), other(sys, budget, "/spool");
  EXPECT_EQ(one.append(bytes_of("abc")), Stored::ok);
  EXPECT_EQ(other.append(bytes_of("de")), Stored::full);
  EXPECT_EQ(other.append(bytes_of("d")), Stored::ok);
  EXPECT_EQ(one.append(bytes_of("x")), Stored::full);
  EXPECT_EQ(whole(one), "abc");
  one.clear();
  EXPECT_EQ(other.append(bytes_of("efg")), Stored::ok);
}

TEST(SpoolFile, FullDiskIsAValueAndWhatWasKeptStays) {
  ScriptedSys sys;
  sys.set_disk_room(5);
  SpoolBudget budget(100);
  SpoolFile<ScriptedSys> file(sys, budget, "");
  EXPECT_EQ(file.append(bytes_of("abcd")), Stored::ok);
  EXPECT_EQ(file.append(bytes_of("efgh")), Stored::failed) << "one byte fits";
  EXPECT_EQ(file.error(), ENOSPC);
  EXPECT_EQ(whole(file), "abcd");
  EXPECT_EQ(budget.left(), 96U);
  sys.set_disk_room(100);
  EXPECT_EQ(file.append(bytes_of("EFGH")), Stored::ok);
  EXPECT_EQ(whole(file), "abcdEFGH") << "the half-written bytes are written over";
}

TEST(SpoolFile, EveryCallCanFail) {
  const int calls = [] {
    ScriptedSys sys;
    SpoolBudget budget(100);
    SpoolFile<ScriptedSys> file(sys, budget, "");
    (void)file.append(bytes_of("ab"));
    (void)file.append(bytes_of("cd"));
    return static_cast<int>(sys.calls());
  }();
  ASSERT_EQ(calls, 3);
  for (int n = 1; n <= calls; ++n) {
    ScriptedSys sys;
    sys.fail_nth(static_cast<std::uint64_t>(n), EMFILE);
    SpoolBudget budget(100);
    SpoolFile<ScriptedSys> file(sys, budget, "");
    std::string kept;
    for (const std::string_view part : {"ab", "cd"}) {
      const Stored stored = file.append(bytes_of(part));
      EXPECT_NE(stored, Stored::full);
      if (stored == Stored::ok) kept += part;
    }
    EXPECT_EQ(kept.size(), 2U) << "exactly one of the two failed";
    EXPECT_EQ(whole(file), kept);
    EXPECT_EQ(budget.left(), 98U);
  }
}

TEST(SpoolFile, ReadErrorsAndCutFilesAreValues) {
  ScriptedSys sys;
  SpoolBudget budget(100);
  SpoolFile<ScriptedSys> file(sys, budget, "");
  ASSERT_EQ(file.append(bytes_of("abcd")), Stored::ok);
  std::array<std::byte, 4> into;
  sys.fail("pread", 1, EIO);
  EXPECT_EQ(file.read_at(0, into).error(), EIO);
  EXPECT_EQ(*file.read_at(4, into), 0U);
}

TEST(ByteStore, MemoryFirstThenTheFile) {
  ScriptedSys sys;
  SpoolBudget budget(100);
  ByteStore<ScriptedSys> store(sys, budget, "", 4);
  EXPECT_EQ(store.append(bytes_of("abcd")), Stored::ok);
  ASSERT_TRUE(store.in_memory());
  EXPECT_EQ(store.in_memory()->size(), 4U);
  EXPECT_EQ(sys.calls(), 0U);
  EXPECT_EQ(store.append(bytes_of("e")), Stored::ok);
  EXPECT_FALSE(store.in_memory());
  EXPECT_EQ(store.append(bytes_of("fg")), Stored::ok);
  EXPECT_EQ(store.size(), 7U);
  EXPECT_EQ(whole(store), "abcdefg");
  EXPECT_EQ(budget.left(), 97U);
}

TEST(ByteStore, NothingOfARefusedBlockIsKept) {
  ScriptedSys sys;
  SpoolBudget budget(2);
  ByteStore<ScriptedSys> store(sys, budget, "", 4);
  EXPECT_EQ(store.append(bytes_of("ab")), Stored::ok);
  EXPECT_EQ(store.append(bytes_of("cdefg")), Stored::full);
  EXPECT_EQ(whole(store), "ab");
  sys.fail("open_temporary", 1, EMFILE);
  EXPECT_EQ(store.append(bytes_of("cdef")), Stored::failed);
  EXPECT_EQ(whole(store), "ab");
  EXPECT_EQ(store.append(bytes_of("cdef")), Stored::ok) << "descriptors came back";
  EXPECT_EQ(whole(store), "abcdef");
}

TEST(ByteStore, WithoutAFolderAllStaysInMemoryUnderTheCap) {
  ScriptedSys sys;
  sys.fail_always("open_temporary", EROFS);
  SpoolBudget budget(3);
  {
    ByteStore<ScriptedSys> store(sys, budget, "", 4);
    EXPECT_EQ(store.append(bytes_of("abcde")), Stored::ok);
    EXPECT_EQ(store.append(bytes_of("fg")), Stored::ok);
    EXPECT_EQ(store.append(bytes_of("h")), Stored::full);
    ASSERT_TRUE(store.in_memory());
    EXPECT_EQ(whole(store), "abcdefg");
    EXPECT_EQ(budget.left(), 0U);
  }
  EXPECT_EQ(budget.left(), 3U);
}

RC_GTEST_PROP(PropertyByteStore, GivesBackWhatItTook, (std::uint64_t seed)) {
  ScriptedSys sys(seed);
  sys.set_short_io(true);
  SpoolBudget budget(*rc::gen::inRange<std::uint64_t>(0, 200));
  ByteStore<ScriptedSys> store(sys, budget, "", *rc::gen::inRange<std::size_t>(0, 40));
  std::string model;
  for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
    const auto block = *rc::gen::container<std::string>(rc::gen::inRange('a', 'z'));
    if (store.append(bytes_of(block)) == Stored::ok) model += block;
  }
  RC_ASSERT(store.size() == model.size());
  RC_ASSERT(whole(store, *rc::gen::inRange<std::size_t>(1, 9)) == model);
}

TEST(FindSpoolDir, TakesTheFirstFolderThatWorks) {
  ScriptedSys sys;
  EXPECT_EQ(find_spool_dir(sys, ""), "/tmp");
  sys.set_environment("TMPDIR", "/scratch");
  EXPECT_EQ(find_spool_dir(sys, ""), "/scratch");
  sys.fail("open_temporary", 1, EACCES, 2);
  EXPECT_EQ(find_spool_dir(sys, ""), "/var/tmp");
  EXPECT_EQ(find_spool_dir(sys, "/given"), "/given");
  sys.fail_always("open_temporary", EROFS);
  EXPECT_EQ(find_spool_dir(sys, "/given"), std::nullopt);
  EXPECT_EQ(sys.open_descriptors(), 0U);
}

}  // namespace
}  // namespace iotax::driver
