#include "driver/threads/spare_signal.h"

#include <gtest/gtest.h>

#include <array>

#include "support/scripted_env.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;

class SpareSignal : public testing::Test {
 protected:
  SpareSignal() { EXPECT_TRUE(signal.open()); }
  ~SpareSignal() override { signal.close(); }
  [[nodiscard]] bool is_kicked() {
    std::array<std::byte, 1> byte;
    const driver::Result<std::size_t> got = sys.read(signal.kicks(), byte);
    return got && *got == 1;
  }

  support::ScriptedSys sys;
  driver::SpareSignal<support::ScriptedEnv> signal{sys};
};

TEST_F(SpareSignal, WaitsForATick) {
  const core::Instant before = sys.now();
  EXPECT_FALSE(signal.wait_tick(1ms));
  EXPECT_EQ(sys.now(), before + 1ms);
}

TEST_F(SpareSignal, ATickEndsWhenTheSpareHasToAct) {
  const core::Instant before = sys.now();
  sys.after(10us, [&] { signal.act_now(); });
  EXPECT_TRUE(signal.wait_tick(1s));
  EXPECT_EQ(sys.now(), before + 10us);
  EXPECT_FALSE(signal.wait_tick(1ms));
}

TEST_F(SpareSignal, SleepsUntilTheLeadIsLent) {
  sys.after(5s, [&] { signal.watch(); });
  const core::Instant before = sys.now();
  EXPECT_TRUE(signal.sleep([] { return false; }));
  EXPECT_EQ(sys.now(), before + 5s);
}

TEST_F(SpareSignal, StaysAwakeIfTheLeadIsBeingLent) {
  EXPECT_FALSE(signal.sleep([] { return true; }));
  EXPECT_FALSE(signal.wait_tick(1ms));
}

TEST_F(SpareSignal, LendingCostsASystemCallOnlyIfTheSpareDoesNotWatch) {
  sys.reset_calls();
  signal.watch();
  EXPECT_EQ(sys.calls("futex_wake") + sys.calls("write"), 0U);
  signal.begin_poll();
  signal.watch();
  EXPECT_TRUE(is_kicked());
  signal.watch();
  EXPECT_FALSE(is_kicked());
}

TEST_F(SpareSignal, ReadsAllKicks) {
  for (int n = 0; n < 10; ++n) signal.kick();
  signal.read_kicks();
  EXPECT_FALSE(is_kicked());
}

}  // namespace
}  // namespace iotax
