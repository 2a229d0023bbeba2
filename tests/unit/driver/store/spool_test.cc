// Spooling: where bytes are stored, limits, and errors of a disk.
#include "driver/store/spool.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "support/bytes.h"
#include "support/scripted_env.h"

namespace iotax::driver {
namespace {

using support::bytes_of;
using support::ScriptedEnv;
using support::ScriptedSys;

std::string whole(SpoolFile<ScriptedEnv>& store, std::size_t step = 3) {
  std::string all;
  for (;;) {
    std::vector<std::byte> part(step);
    const auto got = store.read_at(all.size(), part);
    EXPECT_TRUE(got) << got.error();
    if (!got || *got == 0) return all;
    all.append(reinterpret_cast<const char*>(part.data()), *got);
  }
}

TEST(SpoolFile, StoresBytesAndReleasesItsBudget) {
  ScriptedSys sys;
  StorageBudget budget(100);
  {
    SpoolFile<ScriptedEnv> file(sys, budget, "");
    EXPECT_EQ(file.fd(), -1);
    EXPECT_EQ(file.append({}), Stored::ok);
    EXPECT_EQ(sys.calls("open_temporary"), 0U) << "nothing to keep, no file";
    EXPECT_EQ(file.append(bytes_of("hello ")), Stored::ok);
    EXPECT_EQ(file.append(bytes_of("world")), Stored::ok);
    EXPECT_EQ(whole(file), "hello world");
    EXPECT_EQ(budget.spool.left(), 89U);
    EXPECT_EQ(sys.open_descriptors(), 1U);
  }
  EXPECT_EQ(budget.spool.left(), 100U);
  EXPECT_EQ(sys.open_descriptors(), 0U);
}

TEST(SpoolFile, LimitIsExact) {
  ScriptedSys sys;
  StorageBudget budget(4);
  SpoolFile<ScriptedEnv> one(sys, budget, "/spool"), other(sys, budget, "/spool");
  EXPECT_EQ(one.append(bytes_of("abc")), Stored::ok);
  EXPECT_EQ(other.append(bytes_of("de")), Stored::full);
  EXPECT_EQ(other.append(bytes_of("d")), Stored::ok);
  EXPECT_EQ(one.append(bytes_of("x")), Stored::full);
  EXPECT_EQ(whole(one), "abc");
  one.clear();
  EXPECT_EQ(other.append(bytes_of("efg")), Stored::ok);
}

TEST(SpoolFile, AFullDiskIsReturnedAndStoredBytesStay) {
  ScriptedSys sys;
  sys.set_disk_room(5);
  StorageBudget budget(100);
  SpoolFile<ScriptedEnv> file(sys, budget, "");
  EXPECT_EQ(file.append(bytes_of("abcd")), Stored::ok);
  EXPECT_EQ(file.append(bytes_of("efgh")), Stored::failed) << "one byte fits";
  EXPECT_EQ(file.error(), ENOSPC);
  EXPECT_EQ(whole(file), "abcd");
  EXPECT_EQ(budget.spool.left(), 96U);
  sys.set_disk_room(100);
  EXPECT_EQ(file.append(bytes_of("EFGH")), Stored::ok);
  EXPECT_EQ(whole(file), "abcdEFGH") << "the half-written bytes are written over";
}

TEST(SpoolFile, HandlesEveryFailedSystemCall) {
  const int calls = [] {
    ScriptedSys sys;
    StorageBudget budget(100);
    SpoolFile<ScriptedEnv> file(sys, budget, "");
    (void)file.append(bytes_of("ab"));
    (void)file.append(bytes_of("cd"));
    return static_cast<int>(sys.calls());
  }();
  ASSERT_EQ(calls, 3);
  for (int n = 1; n <= calls; ++n) {
    ScriptedSys sys;
    sys.fail_nth(static_cast<std::uint64_t>(n), EMFILE);
    StorageBudget budget(100);
    SpoolFile<ScriptedEnv> file(sys, budget, "");
    std::string kept;
    for (const std::string_view part : {"ab", "cd"}) {
      const Stored stored = file.append(bytes_of(part));
      EXPECT_NE(stored, Stored::full);
      if (stored == Stored::ok) kept += part;
    }
    EXPECT_EQ(kept.size(), 2U) << "exactly one of the two failed";
    EXPECT_EQ(whole(file), kept);
    EXPECT_EQ(budget.spool.left(), 98U);
  }
}

TEST(SpoolFile, ReadErrorsAndTruncatedFilesAreReturned) {
  ScriptedSys sys;
  StorageBudget budget(100);
  SpoolFile<ScriptedEnv> file(sys, budget, "");
  ASSERT_EQ(file.append(bytes_of("abcd")), Stored::ok);
  std::array<std::byte, 4> into;
  sys.fail("pread", 1, EIO);
  EXPECT_EQ(file.read_at(0, into).error(), EIO);
  EXPECT_EQ(*file.read_at(4, into), 0U);
}

TEST(Quantity, CanBeTakenCompletelyPartlyOrAsAShare) {
  Quantity quantity(100);
  EXPECT_FALSE(quantity.take(101));
  EXPECT_TRUE(quantity.take(40));
  EXPECT_EQ(quantity.take_up_to(100), 60U);
  EXPECT_EQ(quantity.take_up_to(1), 0U);
  quantity.give_back(100);
  EXPECT_EQ(quantity.left(), 100U);
}

TEST(Quantity, AShareLeavesSomethingForTheNext) {
  constexpr Quantity::Share kShare{8, 1};
  Quantity quantity(900);
  const std::uint64_t first = quantity.take_share(UINT64_MAX, 0, kShare);
  EXPECT_EQ(first, 800U);
  EXPECT_EQ(quantity.take_share(1000, first, kShare), 0U) << "it has its share";
  const std::uint64_t second = quantity.take_share(1000, 0, kShare);
  EXPECT_EQ(second, 88U);
  quantity.give_back(first);
  EXPECT_GT(quantity.take_share(1000, second, kShare), 600U);
}

TEST(Quantity, LargeSharesLeaveRoomForSmallOnes) {
  constexpr Quantity::Share kShare{1, 16};
  Quantity quantity(64 << 20);
  for (int n = 0; n < 290; ++n) (void)quantity.take_share(256 * 1024, 0, kShare);
  EXPECT_EQ(quantity.take_share(5000, 0, kShare), 5000U);
}

TEST(Quantity, WithoutALimitNeverRunsOut) {
  Quantity quantity(UINT64_MAX);
  for (int n = 0; n < 100; ++n) {
    EXPECT_EQ(quantity.take_share(1 << 20, std::uint64_t{1} << 30, {1, 16}), 1U << 20);
  }
}

TEST(DescriptorBudget, TemporaryFilesLeaveRoomForConnections) {
  DescriptorBudget budget;
  budget.set_most(100);
  int files = 0;
  while (budget.add_temporary()) ++files;
  EXPECT_EQ(files, 25);
  EXPECT_FALSE(budget.exhausted());
  for (int n = 0; n < 75; ++n) budget.add();
  EXPECT_TRUE(budget.exhausted());
  budget.remove_temporary();
  EXPECT_FALSE(budget.exhausted());
  budget.add();
  EXPECT_FALSE(budget.add_temporary()) << "connections have the last one";
  EXPECT_EQ(budget.used(), 100U);
}

std::string drained(SpoolQueue<ScriptedEnv>& queue, ScriptedSys& sys, std::size_t most) {
  std::string all;
  while (!queue.empty() && all.size() < most) {
    const auto front = queue.front();
    std::vector<std::byte> part(std::min<std::size_t>(front.bytes, most - all.size()));
    const auto got = sys.pread(front.fd, part, front.offset);
    EXPECT_TRUE(got && *got == part.size());
    all.append(reinterpret_cast<const char*>(part.data()), part.size());
    queue.consume(part.size());
  }
  return all;
}

TEST(SpoolQueue, ReleasesRoomAsItIsEmptied) {
  ScriptedSys sys;
  StorageBudget budget(1 << 20);  // in files of 64 KiB
  SpoolQueue<ScriptedEnv> queue(sys, budget, "");
  std::string in(300'000, ' ');
  for (std::size_t n = 0; n < in.size(); ++n) in[n] = static_cast<char>('a' + n % 23);
  ASSERT_EQ(queue.append(bytes_of(in)), in.size());
  EXPECT_EQ(sys.open_descriptors(), 5U);
  EXPECT_EQ(budget.spool.left(), (1U << 20) - in.size());
  EXPECT_EQ(drained(queue, sys, 200'000), in.substr(0, 200'000));
  EXPECT_EQ(sys.open_descriptors(), 2U) << "three files are used up";
  EXPECT_EQ(budget.spool.left(), (1U << 20) - in.size() + 3 * 65536);
  EXPECT_EQ(queue.append(bytes_of("end")), 3U);
  EXPECT_EQ(drained(queue, sys, SIZE_MAX), in.substr(200'000) + "end");
  EXPECT_EQ(sys.open_descriptors(), 0U);
  EXPECT_EQ(budget.spool.left(), 1U << 20);
  EXPECT_EQ(budget.response_spool.left(), budget.spool.left() / 4 * 3);
  EXPECT_EQ(budget.descriptors.used(), 0U);
}

TEST(SpoolQueue, OneResponseLeavesRoomForRequestsAndOtherResponses) {
  ScriptedSys sys;
  StorageBudget budget(8 << 20);
  SpoolQueue<ScriptedEnv> one(sys, budget, "");
  SpoolQueue<ScriptedEnv> other(sys, budget, "");
  SpoolFile<ScriptedEnv> upload(sys, budget, "");
  const std::string endless(20 << 20, 'x');
  const std::size_t kept = one.append(bytes_of(endless));
  EXPECT_GT(kept, 5U << 20) << "nobody else wants it";
  EXPECT_LT(kept, 6U << 20);
  EXPECT_EQ(one.append(bytes_of(endless)), 0U);
  EXPECT_GT(other.append(bytes_of(endless)), 500'000U);
  EXPECT_EQ(upload.append(bytes_of(endless).first(2 << 20)), Stored::ok) << "a quarter is theirs";
}

TEST(SpoolQueue, KeepsTheBytesThatTheDiskTook) {
  ScriptedSys sys;
  sys.set_disk_room(100'000);
  StorageBudget budget(1 << 20);
  SpoolQueue<ScriptedEnv> queue(sys, budget, "");
  EXPECT_EQ(queue.append(bytes_of(std::string(200'000, 'x'))), 65536U);
  EXPECT_EQ(budget.spool.left(), (1U << 20) - 65536);
  sys.fail_always("open_temporary", EMFILE);
  EXPECT_EQ(queue.append(bytes_of("x")), 0U);
  EXPECT_EQ(drained(queue, sys, SIZE_MAX).size(), 65536U);
  EXPECT_EQ(budget.spool.left(), 1U << 20);
  EXPECT_EQ(budget.descriptors.used(), 0U);
}

TEST(FindSpoolDir, TakesTheFirstUsableDirectory) {
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
