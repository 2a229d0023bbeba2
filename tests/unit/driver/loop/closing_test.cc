#include "driver/loop/closing.h"

#include <gtest/gtest.h>

#include <string>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using support::LoopParts;

/// A connection whose last response is sent.
struct ClosingOne : LoopParts {
  explicit ClosingOne(driver::Config settings = {}) : LoopParts(std::move(settings)) {
    std::tie(client, s) = connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    turn();
    respond(*s, "ok");
    requests.flush(lead);
  }
  support::ScriptedClient client;
  Session* s = nullptr;
};

TEST(Closing, EndsTheResponseAndLingersForTheClient) {
  ClosingOne one;
  EXPECT_TRUE(one.client.ended());
  EXPECT_FALSE(one.client.was_reset());
  EXPECT_EQ(one.s->link.phase, driver::Phase::lingering);
  EXPECT_EQ(one.closing.oldest_lingering(one.lead), one.s);
}

TEST(Closing, DiscardsInputAfterTheLastResponseUntilTheClientCloses) {
  ClosingOne one;
  one.client.send("more");
  one.turn();
  EXPECT_EQ(one.client.unread_by_server(), 0U);
  EXPECT_FALSE(one.client.closed_by_server());
  one.client.half_close();
  one.turn();
  EXPECT_TRUE(one.client.closed_by_server());
  EXPECT_FALSE(one.client.was_reset());
}

TEST(Closing, LingersNoLongerThanItsTotalTime) {
  driver::Config config;
  config.limits.linger_idle = 2s;
  config.limits.linger_total = 5s;
  ClosingOne one(config);
  for (int second = 0; second < 4; ++second) {
    one.client.send("x");
    one.pass(1s);
    one.turn();
    EXPECT_FALSE(one.client.closed_by_server());
  }
  one.client.send("x");
  one.pass(2s);
  one.turn();
  EXPECT_TRUE(one.client.closed_by_server());
}

TEST(Closing, LingersForOneSecondWhileStopping) {
  driver::Config config;
  config.limits.linger_idle = 10s;
  config.limits.linger_total = 30s;
  ClosingOne one(config);
  one.closing.shorten_linger(one.lead, *one.s);
  EXPECT_EQ(one.s->link.phase_ends, one.base.clock.now() + 1s);
}

TEST(Closing, TruncatedOutputEndsWithAReset) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.read_by_hand(10);
  client.send(support::kGet);
  parts.turn();
  parts.respond(*s, std::string(1000, 'x'));
  parts.requests.flush(parts.lead);
  ASSERT_TRUE(s->link.backlogged());
  parts.closing.end_dead(parts.lead, *s);
  EXPECT_TRUE(client.was_reset());
}

TEST(Closing, ADeadSocketWithNothingUnsentClosesInOrder) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  parts.closing.end_dead(parts.lead, *s);
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_FALSE(client.was_reset());
}

/// A close-delimited response that the application has aborted.
struct Truncated : LoopParts {
  Truncated() {
    std::tie(client, s) = connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    turn();
    core::ResponseHead head;
    head.status = "200 OK";
    s->stream.status = s->link.machine.respond(s->link.machine.head().id, head);
    s->link.machine.body(s->link.machine.head().id,
                         std::as_bytes(std::span(std::string_view("half"))));
    s->link.machine.abort(s->link.machine.head().id);
    s->stream.log_line = driver::Line::none;
    client.set_unacked(4);
    requests.completed(lead, *s);
    requests.flush(lead);
  }
  support::ScriptedClient client;
  Session* s = nullptr;
};

TEST(Closing, AResetWaitsUntilTheBytesBeforeItHaveArrived) {
  Truncated one;
  EXPECT_EQ(one.s->link.phase, driver::Phase::resetting);
  EXPECT_FALSE(one.client.was_reset());
  one.client.set_unacked(0);
  one.pass(10ms);
  one.turn();
  EXPECT_TRUE(one.client.was_reset());
}

TEST(Closing, AResetWaitsForOneSecondAtMost) {
  Truncated one;
  for (int n = 0; n < 99; ++n) {
    one.pass(10ms);
    one.turn();
  }
  EXPECT_FALSE(one.client.was_reset());
  one.pass(20ms);
  one.turn();
  EXPECT_TRUE(one.client.was_reset());
}

}  // namespace
}  // namespace iotax
