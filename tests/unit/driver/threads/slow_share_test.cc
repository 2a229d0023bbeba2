#include "driver/threads/slow_share.h"

#include <gtest/gtest.h>

namespace iotax::driver {
namespace {

/// `slow` of each hundred calls are slow, for long.
void run_calls(SlowShare& share, int slow) {
  for (int n = 0; n < 100 * 100; ++n) {
    if (n % 100 < slow) {
      share.slow();
    } else {
      share.quick();
    }
  }
}

TEST(SlowShare, IsLowBeforeTheFirstCall) {
  const SlowShare share;
  EXPECT_TRUE(share.low());
  EXPECT_FALSE(share.high());
}

TEST(SlowShare, OneSlowCallMakesNoDifference) {
  SlowShare share;
  share.slow();
  EXPECT_TRUE(share.low());
  EXPECT_FALSE(share.high());
}

TEST(SlowShare, IsHighIfMoreThanTwoPercentOfTheCallsAreSlow) {
  SlowShare share;
  run_calls(share, 4);
  EXPECT_TRUE(share.high());
  EXPECT_FALSE(share.low());
}

TEST(SlowShare, IsNeitherHighNorLowInBetween) {
  SlowShare share;
  run_calls(share, 1);
  EXPECT_FALSE(share.high());
  EXPECT_FALSE(share.low());
}

TEST(SlowShare, IsLowAgainAfterManyQuickCalls) {
  SlowShare share;
  for (int n = 0; n < 100'000; ++n) share.slow();
  EXPECT_TRUE(share.high());
  int quick = 0;
  while (!share.low()) {
    share.quick();
    ASSERT_LT(++quick, 2000);
  }
  EXPECT_GT(quick, 1000);
  EXPECT_FALSE(share.high());
}

TEST(SlowShare, DoesNotWrapAroundAtItsEnds) {
  SlowShare share;
  for (int n = 0; n < 1000; ++n) share.quick();
  EXPECT_TRUE(share.low());
  for (int n = 0; n < 100'000; ++n) {
    share.slow();
    if (n >= 10) {
      ASSERT_TRUE(share.high()) << "after " << n + 1 << " slow calls";
    }
  }
}

}  // namespace
}  // namespace iotax::driver
