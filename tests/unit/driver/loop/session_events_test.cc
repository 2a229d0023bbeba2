#include "driver/loop/session_events.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Owner;
using support::kGet;
using support::LoopParts;

TEST(SessionEvents, ACompleteRequestIsReadyAndItsSessionLent) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.send(kGet.substr(0, 10));
  parts.turn();
  EXPECT_TRUE(parts.ready.empty());
  client.send(kGet.substr(10));
  parts.turn();
  ASSERT_EQ(parts.ready.size(), 1U);
  EXPECT_EQ(parts.ready.pop(), s);
  EXPECT_EQ(s->stream.owner.load(), Owner::lent);
}

TEST(SessionEvents, ARejectedRequestDoesNotReachTheApplication) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.send("GET / HTTP/1.1\r\n\r\n");
  parts.turn();
  EXPECT_TRUE(parts.ready.empty());
  EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(s->link.phase, driver::Phase::lingering);
}

TEST(SessionEvents, InputOfALentSessionMasksItInsteadOfReading) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.send(kGet);
  parts.turn();
  client.send(kGet);
  parts.turn();
  EXPECT_EQ(s->stream.owner.load(), Owner::surprised);
  EXPECT_FALSE(s->link.in_poller);
  EXPECT_EQ(client.unread_by_server(), kGet.size());
  EXPECT_EQ(parts.turn(), 0U);
}

TEST(SessionEvents, AMaskedSessionIsReadWhenItIsReturned) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.send(kGet);
  parts.turn();
  (void)parts.ready.pop();
  client.send(kGet);
  parts.turn();
  parts.respond(*s, "one");
  parts.requests.flush(parts.lead);
  EXPECT_TRUE(s->link.in_poller);
  parts.turn();
  EXPECT_EQ(parts.ready.size(), 1U);
}

TEST(SessionEvents, AResetWhileTheSessionIsLentMarksItDisconnected) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.send(kGet);
  parts.turn();
  client.reset();
  parts.turn();
  EXPECT_TRUE(s->link.disconnected.load());
  EXPECT_TRUE(s->link.wire.is_open());  // its thread may still use it
  parts.respond(*s, "lost");
  parts.requests.flush(parts.lead);
  EXPECT_FALSE(s->link.wire.is_open());
}

TEST(SessionEvents, AConnectionThatSendsNothingIsClosedAtItsTimeout) {
  driver::Config config;
  config.limits.keep_alive = 10s;
  LoopParts parts(config);
  auto [client, s] = parts.connect();
  parts.pass(11s);
  parts.turn();
  EXPECT_TRUE(client.ended());
}

TEST(SessionEvents, ATimeoutInAHeadGets408) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.send("GET / HT");
  parts.turn();
  parts.pass(parts.config.limits.receive_timeout + 1s);
  parts.turn();
  EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 408");
}

TEST(SessionEvents, NoRequestIsReadWhileResponsesWaitForTheClient) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.read_by_hand(10);
  client.send(kGet);
  parts.turn();
  (void)parts.ready.pop();
  parts.respond(*s, std::string(1000, 'x'));
  parts.requests.flush(parts.lead);
  client.send(kGet);
  parts.turn();
  EXPECT_TRUE(parts.ready.empty());
  EXPECT_EQ(client.unread_by_server(), kGet.size());
  client.read_by_hand(10000);
  parts.turn();  // the rest of the response
  parts.turn();  // the request
  EXPECT_EQ(parts.ready.size(), 1U);
}

TEST(SessionEvents, AClientThatReadsNothingIsResetAfterTheSendTimeout) {
  driver::Config config;
  config.limits.send_timeout = 30s;
  LoopParts parts(config);
  auto [client, s] = parts.connect();
  client.read_by_hand(10);
  client.send(kGet);
  parts.turn();
  parts.respond(*s, std::string(1000, 'x'));
  parts.requests.flush(parts.lead);
  parts.pass(31s);
  parts.turn();
  EXPECT_TRUE(client.was_reset());
  ASSERT_EQ(parts.log.server_lines.size(), 1U);
  EXPECT_NE(parts.log.server_lines[0].find("--send-timeout"), std::string::npos);
}

TEST(SessionEvents, OnlyIdleConnectionsWithoutARequestClose) {
  LoopParts parts;
  auto [one, first] = parts.connect();
  auto [other, second] = parts.connect();
  other.send(kGet);
  parts.events.close_if_idle(parts.lead, *first);
  parts.events.close_if_idle(parts.lead, *second);
  EXPECT_TRUE(one.closed_by_server());
  EXPECT_FALSE(other.closed_by_server());
  EXPECT_EQ(parts.ready.size(), 1U);
}

TEST(SessionEvents, SyncMakesNoSystemCallForAReturnedIdleConnection) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.send(kGet);
  parts.turn();
  parts.respond(*s, "ok");
  parts.sys.reset_calls();
  parts.requests.flush(parts.lead);
  EXPECT_EQ(parts.sys.calls(), 1U);  // the send
}

TEST(SessionEvents, AFreezeIsNoticedWhileUnsentOutputOfALentSessionIsTimed) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  client.send(kGet);
  parts.turn();
  parts.events.watch_writable(parts.lead, *s);
  EXPECT_EQ(parts.base.clock.wait_until(parts.base.clock.now() + 1s, false), 100ms);
}

TEST(SessionEvents, ARequestWithFieldsAtFaultIsRejectedWithoutACall) {
  LoopParts parts;
  parts.app.fields_fault = "its fields contradict each other";
  auto [client, s] = parts.connect();
  client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nForwarded: for=a\r\n\r\nhe");
  parts.turn();
  EXPECT_TRUE(parts.ready.empty());
  EXPECT_TRUE(client.received().starts_with("HTTP/1.1 400 ")) << client.received();
  EXPECT_NE(client.received().find("its fields contradict each other"), std::string::npos);
  EXPECT_TRUE(client.ended()) << "what follows is not looked at";
  ASSERT_EQ(parts.log.access_lines.size(), 1U);
  EXPECT_NE(parts.log.access_lines[0].find("\"POST /a HTTP/1.1\" 400 "), std::string::npos);
  ASSERT_EQ(parts.log.server_lines.size(), 1U);
  EXPECT_NE(
      parts.log.server_lines[0].find(" - 400 its fields contradict each other: \"POST /a\" ("),
      std::string::npos);
}

}  // namespace
}  // namespace iotax
