#include "driver/loop/self_report.h"

#include <gtest/gtest.h>

#include <optional>

#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Stopwatch;
using support::ThreadParts;

struct Reporting : ThreadParts {
  Reporting() : ThreadParts(counted()) {}
  static driver::Config counted() {
    driver::Config config;
    config.counts = true;
    return config;
  }
  [[nodiscard]] driver::WorkerGauges& gauges() const { return *slot.gauges(); }
  [[nodiscard]] driver::ServerEntry& server() const { return *slot.scoreboard.server(); }
  void report() { loop.report().report(lead); }
};

TEST(Stopwatch, TotalIncludesThePeriodInProgress) {
  const core::Instant start{1000s};
  Stopwatch watch;
  EXPECT_EQ(watch.total(start), 0s);
  watch.begin(start);
  EXPECT_EQ(watch.total(start + 2s), 2s);
  watch.end(start + 3s);
  EXPECT_EQ(watch.total(start + 9s), 3s);
  watch.begin(start + 10s);
  EXPECT_EQ(watch.total(start + 11s), 4s);
}

TEST(SelfReport, IsDueOnceASecondAndOnlyForAnAdminListener) {
  ThreadParts silent;
  EXPECT_EQ(silent.loop.report().due(), core::kNever);
  EXPECT_EQ(silent.loop.report().times(0), nullptr);
  Reporting parts;
  parts.turn();
  EXPECT_EQ(parts.loop.report().due(), parts.loop.now() + 1s);
}

TEST(SelfReport, AddsTheTimesOfAllThreadsToThoseOfTheFormerWorker) {
  Reporting parts;
  parts.gauges().busy_nanoseconds.set(10);
  driver::ThreadTimes& times = *parts.loop.report().times(0);
  times.busy.begin(parts.loop.now());
  times.lock_wait.begin(parts.loop.now());
  times.lock_wait.end(parts.loop.now() + 5ns);
  parts.pass(1s);
  parts.report();
  EXPECT_EQ(parts.gauges().busy_nanoseconds.get(), 1'000'000'010U);
  EXPECT_EQ(parts.gauges().lock_wait_nanoseconds.get(), 5U);
  times.busy.end(parts.loop.now());
  parts.pass(1s);
  parts.report();
  EXPECT_EQ(parts.gauges().busy_nanoseconds.get(), 1'000'000'010U);
}

TEST(SelfReport, AddsWhatTheProcessHasLoggedSinceTheLastReport) {
  Reporting parts;
  parts.gauges().logs.lines[2].set(7);
  parts.log.counted = {.lines = {0, 0, 2, 0, 0}, .dropped = {1, 0}};
  parts.report();
  parts.report();
  EXPECT_EQ(parts.gauges().logs.lines[2].get(), 9U);
  EXPECT_EQ(parts.gauges().logs.dropped[0].get(), 1U);
}

TEST(SelfReport, TheLastOneIsMadeWhenTheWorkerHasStopped) {
  Reporting parts;
  parts.turn();
  parts.log.counted.lines[4] = 1;
  parts.loop.stop(parts.lead, driver::Stop::now);
  parts.turn();
  EXPECT_EQ(parts.gauges().logs.lines[4].get(), 0U);
  EXPECT_TRUE(parts.leader.end_if_stopped(parts.lead));
  EXPECT_EQ(parts.gauges().logs.lines[4].get(), 1U);
}

TEST(SelfReport, WithoutASupervisorItReadsTheBacklogs) {
  Reporting parts;
  const auto clients = {parts.sys.connect(parts.listener), parts.sys.connect(parts.listener)};
  parts.report();
  EXPECT_EQ(parts.server().backlogs[0].get(), clients.size());
  EXPECT_EQ(parts.server().backlogs[1].get(), std::nullopt);
  parts.sys.fail_always("backlog", ENOTSUP);
  parts.report();
  EXPECT_EQ(parts.server().backlogs[0].get(), std::nullopt);
}

TEST(SelfReport, ASupervisorReadsTheBacklogsItself) {
  Reporting parts;
  parts.server().stamp.set(1);
  parts.server().backlogs[0].set(9);
  parts.report();
  EXPECT_EQ(parts.server().backlogs[0].get(), 9U);
}

}  // namespace
}  // namespace iotax
