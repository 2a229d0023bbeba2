// Request bodies: which bytes are in memory and in the file, and the budgets of both.
#include "driver/store/byte_store.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "support/bytes.h"
#include "support/scripted_env.h"

namespace iotax::driver {
namespace {

using support::bytes_of;
using support::ScriptedEnv;
using support::ScriptedSys;

std::string whole(ByteStore<ScriptedEnv>& store, std::size_t step = 3) {
  std::string all;
  for (;;) {
    std::vector<std::byte> part(step);
    const auto got = store.read_at(all.size(), part);
    EXPECT_TRUE(got) << got.error();
    if (!got || *got == 0) return all;
    all.append(reinterpret_cast<const char*>(part.data()), *got);
  }
}

TEST(ByteStore, WritesToTheFileWhenTheMemoryBudgetIsUsedUp) {
  ScriptedSys sys;
  StorageBudget budget(1000, 170);
  {
    ByteStore<ScriptedEnv> store(sys, budget, "", 100);
    EXPECT_EQ(store.append(bytes_of("0123456789")), Stored::ok);
    EXPECT_TRUE(store.in_memory());
    EXPECT_EQ(store.append(bytes_of("abcdef")), Stored::ok);
    EXPECT_FALSE(store.in_memory()) << "a body has a seventeenth of the memory";
    EXPECT_EQ(whole(store), "0123456789abcdef");
    EXPECT_EQ(budget.request_memory.left(), 160U);
  }
  EXPECT_EQ(budget.request_memory.left(), 170U);
  EXPECT_EQ(budget.spool.left(), 1000U);
}

TEST(ByteStore, UsesMemoryFirstAndThenTheFile) {
  ScriptedSys sys;
  StorageBudget budget(100);
  ByteStore<ScriptedEnv> store(sys, budget, "", 4);
  EXPECT_EQ(store.append(bytes_of("abcd")), Stored::ok);
  ASSERT_TRUE(store.in_memory());
  EXPECT_EQ(store.in_memory()->size(), 4U);
  EXPECT_EQ(sys.calls(), 0U);
  EXPECT_EQ(store.append(bytes_of("e")), Stored::ok);
  EXPECT_FALSE(store.in_memory());
  EXPECT_EQ(store.append(bytes_of("fg")), Stored::ok);
  EXPECT_EQ(store.size(), 7U);
  EXPECT_EQ(whole(store), "abcdefg");
  EXPECT_EQ(budget.spool.left(), 97U);
}

TEST(ByteStore, KeepsNoPartOfABlockThatDoesNotFit) {
  ScriptedSys sys;
  StorageBudget budget(2);
  ByteStore<ScriptedEnv> store(sys, budget, "", 4);
  EXPECT_EQ(store.append(bytes_of("ab")), Stored::ok);
  EXPECT_EQ(store.append(bytes_of("cdefg")), Stored::full);
  EXPECT_EQ(whole(store), "ab");
  sys.fail("open_temporary", 1, EMFILE);
  EXPECT_EQ(store.append(bytes_of("cdef")), Stored::failed);
  EXPECT_EQ(whole(store), "ab");
  EXPECT_EQ(store.append(bytes_of("cdef")), Stored::ok) << "descriptors came back";
  EXPECT_EQ(whole(store), "abcdef");
}

TEST(ByteStore, KeepsAllInMemoryUnderTheLimitWithoutAUsableDirectory) {
  ScriptedSys sys;
  sys.fail_always("open_temporary", EROFS);
  StorageBudget budget(3);
  {
    ByteStore<ScriptedEnv> store(sys, budget, "", 4);
    EXPECT_EQ(store.append(bytes_of("abcde")), Stored::ok);
    EXPECT_EQ(store.append(bytes_of("fg")), Stored::ok);
    EXPECT_EQ(store.append(bytes_of("h")), Stored::full);
    ASSERT_TRUE(store.in_memory());
    EXPECT_EQ(whole(store), "abcdefg");
    EXPECT_EQ(budget.spool.left(), 0U);
  }
  EXPECT_EQ(budget.spool.left(), 3U);
}

RC_GTEST_PROP(PropertyByteStore, ReturnsTheBytesThatWereStored, (std::uint64_t seed)) {
  ScriptedSys sys(seed);
  sys.set_short_io(true);
  StorageBudget budget(*rc::gen::inRange<std::uint64_t>(0, 200));
  ByteStore<ScriptedEnv> store(sys, budget, "", *rc::gen::inRange<std::size_t>(0, 40));
  std::string model;
  for (int i = *rc::gen::inRange(0, 12); i > 0; --i) {
    const auto block = *rc::gen::container<std::string>(rc::gen::inRange('a', 'z'));
    if (store.append(bytes_of(block)) == Stored::ok) model += block;
  }
  RC_ASSERT(store.size() == model.size());
  RC_ASSERT(whole(store, *rc::gen::inRange<std::size_t>(1, 9)) == model);
}

}  // namespace
}  // namespace iotax::driver
