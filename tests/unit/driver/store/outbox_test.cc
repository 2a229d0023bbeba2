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
  one.outbox.append(bytes("first "));
  one.sys.fail("send", 1, EAGAIN);
  EXPECT_EQ(one.outbox.drain(1000), Drained::blocked);
  one.sys.advance(900ms);  // in which the server did not run
  EXPECT_EQ(one.outbox.drain(3), Drained::more);
  one.sys.advance(500ms);
  EXPECT_FALSE(one.outbox.late(one.sys.now()));
  one.sys.advance(600ms);
  EXPECT_TRUE(one.outbox.late(one.sys.now())) << "it has not received this for 1.1 s";
}

TEST(Outbox, AThreadThatIsFrozenWhileItSendsDoesNotShortenTheTimeOfItsClient) {
  OneOutbox one;
  one.client.read_by_hand(5);
  one.outbox.append(bytes("first second"));
  EXPECT_EQ(one.outbox.drain(1000), Drained::blocked);
  one.client.read(5);
  // The thread gives way to another one, where it is frozen.
  support::ScriptedSys::Thread other = std::move(*one.sys.start_thread("other", [] {}));
  one.sys.scheduler().set_freezes(1, 1, 1ns);
  one.sys.freeze(2s);
  EXPECT_EQ(one.outbox.drain(1000), Drained::blocked);
  EXPECT_EQ(one.sys.scheduler().frozen(), 2s);
  other.join();
  EXPECT_FALSE(one.outbox.late(one.sys.now())) << "it has just received the next bytes";
  one.sys.advance(900ms);
  EXPECT_FALSE(one.outbox.late(one.sys.now()));
  one.sys.advance(200ms);
  EXPECT_TRUE(one.outbox.late(one.sys.now()));
}

TEST(Outbox, AFreezeThatTheLeaderNoticesLaterDoesNotExtendTheTimeOfTheClient) {
  OneOutbox one;
  support::ScriptedSys& sys = one.sys;
  one.client.read_by_hand(5);
  const core::Instant planned = sys.now() + 100ms;
  sys.plan_reading(planned);
  sys.advance(10s);
  one.outbox.append(bytes("first second third"));
  EXPECT_EQ(one.outbox.drain(1000), Drained::blocked);
  ASSERT_TRUE(sys.notice_freeze(planned));
  sys.plan_reading(core::kNever);
  sys.advance(900ms);
  EXPECT_FALSE(one.outbox.late(sys.now()));
  sys.advance(200ms);
  EXPECT_TRUE(one.outbox.late(sys.now()));
}

TEST(Outbox, DiscardsWhatIsAppendedAfterClear) {
  OneOutbox one;
  Outbox<E>& outbox = one.outbox;
  outbox.append(bytes("lost"));
  outbox.clear();                                          // the leader found the connection broken
  EXPECT_EQ(outbox.append_what_fits(bytes("later")), 5U);  // in another thread
  outbox.append(bytes("later"));
  outbox.append_file(UniqueFd{}, 0, 4);
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.drain(1000), Drained::empty);
  EXPECT_EQ(one.client.received(), "");
}

}  // namespace
}  // namespace iotax::driver
