#include "driver/loop/loop_clock.h"

#include <gtest/gtest.h>

#include "support/fake_application.h"
#include "support/scripted_env.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;

class LoopClock : public testing::Test {
 protected:
  LoopClock() { clock.begin(); }

  support::ScriptedSys sys;
  support::RecordingLog log;
  driver::PrivateScoreboard scoreboard{1};
  driver::Slot slot{scoreboard.scoreboard(), 0};
  driver::LoopClock<support::ScriptedEnv> clock{sys, log, slot};
};

TEST_F(LoopClock, CountsNothingAsFrozenBeforeTheWorkerServes) {
  sys.advance(1h);
  clock.read();
  EXPECT_EQ(clock.now(), sys.real_now());
}

TEST_F(LoopClock, WaitsUntilTheNextTimer) {
  clock.read();
  EXPECT_EQ(clock.wait_until(clock.now() + 30s, false), 30s);
  sys.advance(30s);
  clock.read();
  EXPECT_EQ(clock.now(), sys.real_now());
}

TEST_F(LoopClock, WaitsForeverWithoutATimerAndCountsNothingAsFrozenThen) {
  clock.read();
  EXPECT_EQ(clock.wait_until(core::kNever, true), driver::kForever);
  sys.advance(1h);
  clock.read();
  EXPECT_EQ(clock.now(), sys.real_now());
}

TEST_F(LoopClock, LeavesOutTheTimeByWhichAWaitWasLate) {
  clock.read();
  const core::Instant due = clock.now() + 1s;
  EXPECT_EQ(clock.wait_until(due, false), 1s);
  sys.advance(11s);
  clock.read();
  EXPECT_EQ(clock.now(), due);
  EXPECT_EQ(sys.left_out(), 10s);
  EXPECT_EQ(scoreboard.scoreboard().worker(0).since(due, sys.real_now()), 0s);
  ASSERT_EQ(log.server_lines.size(), 1U);
  EXPECT_NE(log.server_lines[0].find("did not run for 10 s"), std::string::npos);
}

TEST_F(LoopClock, ALoadedMachineDoesNotCountAsFrozen) {
  clock.read();
  (void)clock.wait_until(clock.now() + 1s, false);
  sys.advance(1s + driver::RunningTime::kSlack);
  clock.read();
  EXPECT_EQ(clock.now(), sys.real_now());
}

TEST_F(LoopClock, SplitsWaitsWhileAClientIsTimed) {
  clock.read();
  clock.expect(clock.now() + 5s);
  EXPECT_EQ(clock.wait_until(clock.now() + 30s, false), 100ms);
  sys.advance(100ms);
  clock.read();
  EXPECT_EQ(clock.wait_until(clock.now() + 30s, true), 100ms);
}

TEST_F(LoopClock, OtherThreadsDoNotCountTimeThatTheLeaderMayLeaveOut) {
  clock.read();
  const core::Instant due = clock.now() + 1s;
  (void)clock.wait_until(due, false);
  EXPECT_EQ(clock.noticed_now(), clock.now());
  sys.advance(20s);
  EXPECT_EQ(clock.noticed_now(), due);
  clock.read();
  EXPECT_EQ(clock.noticed_now(), due);
}

TEST_F(LoopClock, NoticesAFreezeWithinATurn) {
  clock.read();
  const core::Instant began = clock.now();
  sys.advance(60s);
  EXPECT_GE(clock.wait_until(began + 30s, false), 29s);
}

}  // namespace
}  // namespace iotax
