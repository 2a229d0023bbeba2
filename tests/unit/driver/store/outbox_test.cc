#include "driver/store/outbox.h"

#include <gtest/gtest.h>

#include <cerrno>
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

using E = support::ScriptedEnv;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

/// The outbox of a connection whose client may be silent for a second.
struct OneOutbox {
  static core::Limits with_send_timeout() {
    core::Limits limits;
    limits.send_timeout = 1s;
    limits.rate_bytes_min = 0;
    return limits;
  }

  support::ScriptedSys sys;
  const int listener = sys.listen();
  support::ScriptedClient client = sys.connect(listener);
  PlainWire<E> wire{sys, sys.accept(listener)->fd};
  StorageBudget budget{1 << 20};
  const core::Limits limits = with_send_timeout();
  Outbox<E> outbox{sys, wire, budget, "/tmp", 1000, limits};
};

TEST(Outbox, AClientThatHasReceivedEverythingIsNotLateWhenMoreIsSentLate) {
  OneOutbox one;
  one.client.read_by_hand(100);
  one.outbox.append(bytes("first "), one.sys.now());
  one.sys.fail("send", 1, EAGAIN);
  EXPECT_EQ(one.outbox.drain(1000, one.sys.now()), Drained::blocked);
  one.sys.advance(900ms);  // in which the server did not run
  EXPECT_EQ(one.outbox.drain(3, one.sys.now()), Drained::more);
  one.sys.advance(500ms);
  EXPECT_FALSE(one.outbox.late(one.sys.now()));
  one.sys.advance(600ms);
  EXPECT_TRUE(one.outbox.late(one.sys.now())) << "it has not received this for 1.1 s";
}

TEST(Outbox, DiscardsWhatIsAppendedAfterClear) {
  OneOutbox one;
  support::ScriptedSys& sys = one.sys;
  Outbox<E>& outbox = one.outbox;
  outbox.append(bytes("lost"), sys.now());
  outbox.clear();  // the leader found the connection broken
  EXPECT_EQ(outbox.append_what_fits(bytes("later"), sys.now()), 5U);  // in another thread
  outbox.append(bytes("later"), sys.now());
  outbox.append_file(UniqueFd{}, 0, 4, sys.now());
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.drain(1000, sys.now()), Drained::empty);
  EXPECT_EQ(one.client.received(), "");
}

}  // namespace
}  // namespace iotax::driver
