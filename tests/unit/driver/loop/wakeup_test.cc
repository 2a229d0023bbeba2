#include "driver/loop/wakeup.h"

#include <gtest/gtest.h>

#include <array>
#include <span>
#include <string>

#include "support/scripted_env.h"

namespace iotax {
namespace {

class Wakeup : public testing::Test {
 protected:
  Wakeup() { wakeup.open(ends.read); }
  void write(std::string_view bytes) {
    ASSERT_TRUE(sys.write(ends.write, std::as_bytes(std::span(bytes))));
  }

  support::ScriptedSys sys;
  driver::PipeEnds ends = *sys.pipe();
  driver::WakeupPipe<support::ScriptedEnv> wakeup{sys};
};

TEST_F(Wakeup, WakeUpsByTheServerAreNotSignals) {
  write(std::string(300, '\0'));
  wakeup.read();
  EXPECT_FALSE(wakeup.has_signals());
}

TEST_F(Wakeup, ReadsAllBytesAndReportsASignalAmongThemOnce) {
  write(std::string(299, '\0') + '\x0f');
  wakeup.read();
  EXPECT_TRUE(wakeup.has_signals());
  EXPECT_TRUE(wakeup.take_signals());
  EXPECT_FALSE(wakeup.take_signals());
  wakeup.read();
  EXPECT_FALSE(wakeup.has_signals());
}

TEST_F(Wakeup, ReportsSignalsAgainWhoseHandlersDidNotRun) {
  write("\x0f");
  wakeup.read();
  EXPECT_TRUE(wakeup.take_signals());
  wakeup.keep_signals();
  EXPECT_TRUE(wakeup.take_signals());
}

}  // namespace
}  // namespace iotax
