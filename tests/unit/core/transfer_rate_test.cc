// The longest gap and the least rate, at the nanosecond before, at and behind each deadline.
#include "core/transfer_rate.h"

#include <gtest/gtest.h>

namespace iotax::core {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{seconds{100}};
constexpr Duration kTick{1};

TEST(Pace, HasNoDeadlineWithoutRules) {
  Pace pace;
  pace.start(kStart);
  EXPECT_EQ(pace.deadline(), kNever);
  EXPECT_FALSE(pace.late(kStart + seconds{1000000}));
}

TEST(Pace, HasNoDeadlineBeforeItStarts) {
  const Pace pace(Pace::Rules{seconds{10}, seconds{10}, 500});
  EXPECT_EQ(pace.deadline(), kNever);
}

TEST(Pace, TheGapCountsFromTheLastProgress) {
  Pace pace(Pace::Rules{seconds{10}, {}, 0});
  pace.start(kStart);
  EXPECT_EQ(pace.deadline(), kStart + seconds{10});
  pace.progress(kStart + seconds{7}, 1);
  EXPECT_FALSE(pace.late(kStart + seconds{17} - kTick));
  EXPECT_TRUE(pace.late(kStart + seconds{17}));
  EXPECT_TRUE(pace.late_for_gap(kStart + seconds{17}));
}

TEST(Pace, TheRateCountsAfterTheGrace) {
  Pace pace(Pace::Rules{{}, seconds{10}, 500});
  pace.start(kStart);
  EXPECT_EQ(pace.deadline(), kStart + seconds{10});
  pace.progress(kStart + seconds{9}, 250);
  EXPECT_EQ(pace.deadline(), kStart + seconds{10} + milliseconds{500});
  pace.progress(kStart + seconds{10}, 1250);
  EXPECT_FALSE(pace.late(kStart + seconds{13} - kTick));
  EXPECT_TRUE(pace.late(kStart + seconds{13}));
  EXPECT_FALSE(pace.late_for_gap(kStart + seconds{13}));
}

TEST(Pace, TheEarlierOfBothDeadlinesHolds) {
  Pace pace(Pace::Rules{seconds{3}, seconds{10}, 500});
  pace.start(kStart);
  EXPECT_EQ(pace.deadline(), kStart + seconds{3});
  pace.progress(kStart + seconds{9}, 1);
  EXPECT_EQ(pace.deadline(), kStart + seconds{10} + milliseconds{2});
}

TEST(Pace, APauseMayLastLongerWhileTheAverageIsAboveTheRate) {
  Pace pace(Pace::Rules{seconds{30}, seconds{10}, 500, 3});
  pace.start(kStart);
  pace.progress(kStart, 5000);
  EXPECT_EQ(pace.deadline(), kStart + seconds{20}) << "the rate ends before the gap";
  pace.progress(kStart, 20'000);
  EXPECT_FALSE(pace.late(kStart + seconds{60} - kTick)) << "50 s of the rate after 10 s of grace";
  EXPECT_TRUE(pace.late(kStart + seconds{60}));
  pace.progress(kStart, 1'000'000);
  EXPECT_FALSE(pace.late(kStart + seconds{90} - kTick));
  EXPECT_TRUE(pace.late(kStart + seconds{90})) << "three gaps are the most";
}

TEST(Pace, APauseIsNoLongerThanTheGapWithoutARate) {
  Pace pace(Pace::Rules{seconds{30}, seconds{10}, 0, 3});
  pace.start(kStart);
  pace.progress(kStart, 1'000'000);
  EXPECT_EQ(pace.deadline(), kStart + seconds{30});
}

TEST(Pace, APauseThatNeverEndsDoesNotOverflow) {
  Pace pace(Pace::Rules{Duration::max() / 2, {}, 1, 3});
  pace.start(kStart);
  pace.progress(kStart, UINT64_MAX);
  EXPECT_FALSE(pace.late(kStart + seconds{1'000'000}));
}

TEST(Pace, TimeThatNobodyIsToBlameForMovesBoth) {
  Pace pace(Pace::Rules{seconds{3}, seconds{10}, 500});
  pace.start(kStart);
  pace.shift(seconds{60});
  EXPECT_EQ(pace.deadline(), kStart + seconds{63});
}

TEST(Pace, SaturatesInsteadOfOverflowing) {
  Pace pace(Pace::Rules{{}, seconds{10}, 1});
  pace.start(kStart);
  pace.progress(kStart, UINT64_MAX);
  pace.progress(kStart, UINT64_MAX);
  EXPECT_EQ(pace.deadline(), kNever);
  EXPECT_EQ(later(kNever, seconds{1}), kNever);
  EXPECT_EQ(later(kNever - kTick, seconds{1}), kNever);
  EXPECT_EQ(later(kStart, seconds{1}), kStart + seconds{1});
}

}  // namespace
}  // namespace iotax::core
