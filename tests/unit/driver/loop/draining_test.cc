#include "driver/loop/draining.h"

#include <gtest/gtest.h>

#include <string>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Stop;
using support::kGet;
using support::LoopParts;
using support::ScriptedClient;

struct Serving : LoopParts {
  explicit Serving(driver::Config settings = {}) : LoopParts(std::move(settings)) {
    if (!acceptor.listen()) std::abort();
  }
  /// Advance the time, poll once, and run the timers.
  void pass_turn(core::Duration time) {
    pass(time);
    turn();
    draining.tick(lead);
    table.end_turn(lead);
  }
  /// A connection with a request that a thread runs.
  std::pair<ScriptedClient, Session*> busy() {
    auto [client, s] = connect();
    client.send(kGet);
    turn();
    if (ready.empty() || ready.pop() != s) std::abort();
    return {client, s};
  }
};

TEST(Draining, IsFinishedWhenNothingIsOpen) {
  Serving parts;
  EXPECT_FALSE(parts.draining.finished());
  parts.draining.stop(parts.lead, Stop::drain);
  EXPECT_TRUE(parts.draining.finished());
  EXPECT_FALSE(parts.sys.is_open(parts.listener));
}

TEST(Draining, AcceptsUntilTheShutdownDelayIsOver) {
  driver::Config config;
  config.shutdown_delay = 5s;
  Serving parts(config);
  parts.draining.stop(parts.lead, Stop::drain);
  EXPECT_FALSE(parts.draining.finished());
  EXPECT_EQ(parts.draining.due(), parts.base.clock.now() + 5s);
  parts.sys.connect(parts.listener);
  parts.pass_turn(4s);
  EXPECT_EQ(parts.table.size(), 1U);
  parts.pass_turn(1s);
  EXPECT_FALSE(parts.sys.is_open(parts.listener));
}

TEST(Draining, GivesIdleConnectionsTwoSecondsForOneMoreRequest) {
  Serving parts;
  auto [client, s] = parts.connect();
  parts.draining.stop(parts.lead, Stop::drain);
  parts.pass_turn(1s);
  EXPECT_FALSE(client.closed_by_server());
  parts.pass_turn(1s);
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_TRUE(parts.draining.finished());
}

TEST(Draining, APromptStopClosesIdleConnectionsImmediately) {
  Serving parts;
  auto [client, s] = parts.connect();
  parts.draining.stop(parts.lead, Stop::prompt);
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_TRUE(parts.draining.finished());
}

TEST(Draining, ServesARequestThatHasArrivedOnAnIdleConnection) {
  Serving parts;
  auto [client, s] = parts.connect();
  client.send(kGet);
  parts.draining.stop(parts.lead, Stop::prompt);
  EXPECT_FALSE(client.closed_by_server());
  EXPECT_EQ(parts.ready.size(), 1U);
}

TEST(Draining, RetiringKeepsIdleConnectionsOpen) {
  Serving parts;
  auto [client, s] = parts.connect();
  parts.draining.stop(parts.lead, Stop::retire);
  parts.pass_turn(10s);
  EXPECT_FALSE(client.closed_by_server());
  EXPECT_FALSE(parts.sys.is_open(parts.listener));
}

TEST(Draining, WaitsForRequestsInProgressAndLogsThem) {
  driver::Config config;
  config.graceful_timeout = 30s;
  Serving parts(config);
  auto [client, s] = parts.busy();
  parts.draining.stop(parts.lead, Stop::drain);
  parts.pass_turn(3s);
  EXPECT_FALSE(parts.draining.finished());
  ASSERT_EQ(parts.log.server_lines.size(), 1U);
  EXPECT_EQ(parts.log.server_lines[0], "Waiting for 1 request (GET /, 3 s)");
  parts.respond(*s, "ok");
  parts.requests.flush(parts.lead);
  parts.pass_turn(1s);
  EXPECT_TRUE(parts.draining.finished());
  EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 200");
}

TEST(Draining, AbortsRequestsAfterTheGracefulTimeout) {
  driver::Config config;
  config.graceful_timeout = 5s;
  Serving parts(config);
  auto [client, s] = parts.busy();
  parts.draining.stop(parts.lead, Stop::drain);
  parts.pass_turn(4s);
  EXPECT_FALSE(parts.draining.overdue());
  parts.pass_turn(2s);
  EXPECT_TRUE(parts.draining.overdue());
  EXPECT_TRUE(s->link.disconnected.load());
  EXPECT_EQ(s->link.cut.load(), driver::Cut::by_shutdown);
  EXPECT_TRUE(s->link.wire.is_open());  // its thread may still use it
  parts.respond(*s, "late");
  parts.requests.flush(parts.lead);
  EXPECT_TRUE(parts.draining.finished());
}

TEST(Draining, AMoreUrgentStopShortensTheOneInProgress) {
  Serving parts;
  auto [client, s] = parts.connect();
  parts.draining.stop(parts.lead, Stop::drain);
  EXPECT_FALSE(client.closed_by_server());
  parts.draining.stop(parts.lead, Stop::prompt);
  EXPECT_TRUE(client.closed_by_server());
}

TEST(Draining, ALessUrgentStopChangesNothing) {
  Serving parts;
  auto [client, s] = parts.busy();
  parts.draining.stop(parts.lead, Stop::now);
  parts.draining.stop(parts.lead, Stop::drain);
  EXPECT_TRUE(parts.draining.overdue());
}

TEST(Draining, OnATerminalLogsTheRequestsThatItWaitsFor) {
  driver::Config config;
  config.interactive = true;
  Serving parts(config);
  auto [client, s] = parts.busy();
  parts.draining.stop(parts.lead, Stop::prompt);
  ASSERT_EQ(parts.log.server_lines.size(), 1U);
  EXPECT_EQ(parts.log.server_lines[0],
            "Waiting for 1 request (GET /, 0 s). Ctrl-C again stops now.");
}

TEST(Draining, NamesFiveRequestsAndCountsTheOthers) {
  Serving parts;
  for (int n = 0; n < 7; ++n) parts.busy();
  parts.draining.stop(parts.lead, Stop::now);
  ASSERT_EQ(parts.log.server_lines.size(), 1U);
  EXPECT_EQ(parts.log.server_lines[0].substr(0, 30), "Stopped waiting for 7 requests");
  EXPECT_NE(parts.log.server_lines[0].find("; ...)"), std::string::npos);
}

TEST(Draining, ReadsPausedConnectionsAgain) {
  Serving parts;
  auto [client, s] = parts.connect();
  parts.handover.pause(parts.lead);
  client.send(kGet);
  parts.draining.stop(parts.lead, Stop::drain);
  parts.turn();
  EXPECT_EQ(parts.ready.size(), 1U);
}

}  // namespace
}  // namespace iotax
