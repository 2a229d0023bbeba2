// The maximum gap and the minimum rate, one nanosecond before, at and after each deadline.
#include "core/transfer_rate.h"

#include <gtest/gtest.h>

namespace iotax::core {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{seconds{100}};
constexpr Duration kNanosecond{1};

TEST(TransferRate, HasNoDeadlineWithoutRules) {
  TransferRate rate;
  rate.start(kStart);
  EXPECT_EQ(rate.deadline(), kNever);
  EXPECT_FALSE(rate.late(kStart + seconds{1000000}));
}

TEST(TransferRate, HasNoDeadlineBeforeItStarts) {
  const TransferRate rate(TransferRate::Rules{seconds{10}, seconds{10}, 500});
  EXPECT_EQ(rate.deadline(), kNever);
}

TEST(TransferRate, TheGapCountsFromTheLastProgress) {
  TransferRate rate(TransferRate::Rules{seconds{10}, {}, 0});
  rate.start(kStart);
  EXPECT_EQ(rate.deadline(), kStart + seconds{10});
  rate.progress(kStart + seconds{7}, 1);
  EXPECT_FALSE(rate.late(kStart + seconds{17} - kNanosecond));
  EXPECT_TRUE(rate.late(kStart + seconds{17}));
  EXPECT_TRUE(rate.late_for_gap(kStart + seconds{17}));
}

TEST(TransferRate, TheRateCountsAfterTheGrace) {
  TransferRate rate(TransferRate::Rules{{}, seconds{10}, 500});
  rate.start(kStart);
  EXPECT_EQ(rate.deadline(), kStart + seconds{10});
  rate.progress(kStart + seconds{9}, 250);
  EXPECT_EQ(rate.deadline(), kStart + seconds{10} + milliseconds{500});
  rate.progress(kStart + seconds{10}, 1250);
  EXPECT_FALSE(rate.late(kStart + seconds{13} - kNanosecond));
  EXPECT_TRUE(rate.late(kStart + seconds{13}));
  EXPECT_FALSE(rate.late_for_gap(kStart + seconds{13}));
}

TEST(TransferRate, TheEarlierDeadlineCounts) {
  TransferRate rate(TransferRate::Rules{seconds{3}, seconds{10}, 500});
  rate.start(kStart);
  EXPECT_EQ(rate.deadline(), kStart + seconds{3});
  rate.progress(kStart + seconds{9}, 1);
  EXPECT_EQ(rate.deadline(), kStart + seconds{10} + milliseconds{2});
}

TEST(TransferRate, APauseMayLastLongerWhileTheAverageIsAboveTheRate) {
  TransferRate rate(TransferRate::Rules{seconds{30}, seconds{10}, 500, 3});
  rate.start(kStart);
  rate.progress(kStart, 5000);
  EXPECT_EQ(rate.deadline(), kStart + seconds{20}) << "the rate ends before the gap";
  rate.progress(kStart, 20'000);
  EXPECT_FALSE(rate.late(kStart + seconds{60} - kNanosecond))
      << "50 s of the rate after 10 s of grace";
  EXPECT_TRUE(rate.late(kStart + seconds{60}));
  rate.progress(kStart, 1'000'000);
  EXPECT_FALSE(rate.late(kStart + seconds{90} - kNanosecond));
  EXPECT_TRUE(rate.late(kStart + seconds{90})) << "three gaps are the most";
}

TEST(TransferRate, WithoutARateAPauseIsLimitedByTheGap) {
  TransferRate rate(TransferRate::Rules{seconds{30}, seconds{10}, 0, 3});
  rate.start(kStart);
  rate.progress(kStart, 1'000'000);
  EXPECT_EQ(rate.deadline(), kStart + seconds{30});
}

TEST(TransferRate, AnInfinitePauseDoesNotOverflow) {
  TransferRate rate(TransferRate::Rules{Duration::max() / 2, {}, 1, 3});
  rate.start(kStart);
  rate.progress(kStart, UINT64_MAX);
  EXPECT_FALSE(rate.late(kStart + seconds{1'000'000}));
}

TEST(TransferRate, ExcludedTimeMovesBothDeadlines) {
  TransferRate rate(TransferRate::Rules{seconds{3}, seconds{10}, 500});
  rate.start(kStart);
  rate.shift(seconds{60});
  EXPECT_EQ(rate.deadline(), kStart + seconds{63});
}

TEST(TransferRate, SaturatesInsteadOfOverflowing) {
  TransferRate rate(TransferRate::Rules{{}, seconds{10}, 1});
  rate.start(kStart);
  rate.progress(kStart, UINT64_MAX);
  rate.progress(kStart, UINT64_MAX);
  EXPECT_EQ(rate.deadline(), kNever);
  EXPECT_EQ(later(kNever, seconds{1}), kNever);
  EXPECT_EQ(later(kNever - kNanosecond, seconds{1}), kNever);
  EXPECT_EQ(later(kStart, seconds{1}), kStart + seconds{1});
}

}  // namespace
}  // namespace iotax::core
