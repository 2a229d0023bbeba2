#include "driver/threads/stop_state.h"

#include <gtest/gtest.h>

#include "support/scripted_env.h"

namespace iotax {
namespace {

using driver::Stop;

TEST(StopState, TheMostUrgentStopCounts) {
  driver::StopState<support::ScriptedEnv> stop;
  EXPECT_FALSE(stop.is_requested());
  stop.request(Stop::prompt, 130);
  stop.request(Stop::drain, 1);
  EXPECT_EQ(stop.requested(), Stop::prompt);
  EXPECT_EQ(stop.exit_code(), 130);
  stop.request(Stop::now, 131);
  EXPECT_EQ(stop.requested(), Stop::now);
  EXPECT_EQ(stop.exit_code(), 131);
}

TEST(StopState, IsFinishedOnlyWhenTheWorkerReportsIt) {
  driver::StopState<support::ScriptedEnv> stop;
  stop.request(Stop::now, 0);
  EXPECT_FALSE(stop.is_finished());
  stop.finish();
  EXPECT_TRUE(stop.is_finished());
}

}  // namespace
}  // namespace iotax
