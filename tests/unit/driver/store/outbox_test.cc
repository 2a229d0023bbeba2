#include "driver/store/outbox.h"

#include <gtest/gtest.h>

#include <chrono>
#include <span>
#include <string_view>

#include "driver/os/unique_fd.h"
#include "driver/store/spool.h"
#include "driver/wire.h"
#include "support/scripted_env.h"

namespace iotax::driver {
namespace {

using namespace std::chrono_literals;

TEST(Outbox, DiscardsWhatIsAppendedAfterClear) {
  using E = support::ScriptedEnv;
  support::ScriptedSys sys;
  const int listener = sys.listen();
  support::ScriptedClient client = sys.connect(listener);
  PlainWire<E> wire{sys, sys.accept(listener)->fd};
  StorageBudget budget(1 << 20);
  const core::Limits limits;
  Outbox<E> outbox(sys, wire, budget, "/tmp", 1000, limits);
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };

  outbox.append(bytes("lost"), sys.now());
  outbox.clear();  // the leader found the connection broken
  EXPECT_EQ(outbox.append_what_fits(bytes("later"), sys.now()), 5U);  // in another thread
  outbox.append(bytes("later"), sys.now());
  outbox.append_file(UniqueFd{}, 0, 4, sys.now());
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.drain(1000, sys.now()), Drained::empty);
  EXPECT_EQ(client.received(), "");
}

}  // namespace
}  // namespace iotax::driver
