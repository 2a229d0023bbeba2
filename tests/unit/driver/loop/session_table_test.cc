#include "driver/loop/session_table.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using support::kGet;
using support::LoopParts;
using Session = LoopParts::Session;

TEST(SessionTable, CountsOpenSessions) {
  LoopParts parts;
  auto [one, first] = parts.connect();
  auto [other, second] = parts.connect();
  EXPECT_EQ(parts.table.size(), 2U);
  parts.closing.close(parts.lead, *first);
  EXPECT_EQ(parts.table.size(), 1U);
  EXPECT_TRUE(parts.table.take_erased());
  EXPECT_FALSE(parts.table.take_erased());
  EXPECT_EQ(parts.intake.budget().descriptors.used(), 1U);
}

TEST(SessionTable, ForEachMayEraseTheSessionThatItGets) {
  LoopParts parts;
  for (int n = 0; n < 5; ++n) parts.connect();
  std::size_t seen = 0;
  EXPECT_TRUE(parts.table.for_each(parts.lead, [&](Session& s) {
    ++seen;
    parts.closing.close(parts.lead, s);
  }));
  EXPECT_EQ(seen, 5U);
  EXPECT_TRUE(parts.table.empty());
}

TEST(SessionTable, ForEachStopsWhenItsFunctionReturnsFalse) {
  LoopParts parts;
  for (int n = 0; n < 5; ++n) parts.connect();
  std::size_t seen = 0;
  EXPECT_FALSE(parts.table.for_each(parts.lead, [&](Session&) { return ++seen < 3; }));
  EXPECT_EQ(seen, 3U);
}

TEST(SessionTable, ASessionThatAThreadMayReadOutlivesItsTurn) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  s->stream.thread_may_read = true;
  parts.closing.close(parts.lead, *s);
  parts.table.end_turn(parts.lead);
  EXPECT_FALSE(s->link.wire.is_open());  // under a sanitizer: it is still there
  parts.table.thread_returned(parts.lead, *s);
}

TEST(SessionTable, ASessionThatThePollerRejectsIsRemoved) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  parts.sys.fail("epoll_ctl", 1, ENOMEM);
  parts.table.watch(parts.lead, *s, driver::Interest{true, true});
  EXPECT_TRUE(s->link.disconnected.load());
  EXPECT_FALSE(s->link.in_poller);
}

TEST(SessionTable, WatchMakesNoSystemCallWhenNothingChanges) {
  LoopParts parts;
  auto [client, s] = parts.connect();
  const std::uint64_t before = parts.sys.calls("epoll_ctl");
  parts.table.watch(parts.lead, *s, driver::Interest{true, false});
  EXPECT_EQ(parts.sys.calls("epoll_ctl"), before);
}

TEST(SessionTable, FindsTheLongestIdleSession) {
  LoopParts parts;
  auto [one, first] = parts.connect();
  parts.pass(1s);
  auto [other, second] = parts.connect();
  EXPECT_EQ(parts.table.oldest_idle(parts.lead), first);
  parts.closing.close(parts.lead, *first);
  EXPECT_EQ(parts.table.oldest_idle(parts.lead), second);
}

TEST(SessionTable, ASessionWithARequestIsNotIdle) {
  LoopParts parts;
  auto [one, first] = parts.connect();
  parts.pass(1s);
  auto [other, second] = parts.connect();
  one.send(kGet);
  parts.turn();
  EXPECT_EQ(parts.table.oldest_idle(parts.lead), second);
  other.send(kGet);
  parts.turn();
  EXPECT_EQ(parts.table.oldest_idle(parts.lead), nullptr);
}

TEST(SessionTable, ASessionReturnedAfterALongCallIsYoungerThanThoseIdleMeanwhile) {
  LoopParts parts;
  auto [one, first] = parts.connect();
  one.send(kGet);
  parts.turn();
  parts.pass(1s);
  auto [other, second] = parts.connect();
  parts.pass(5s);
  parts.respond(*first, "late");
  parts.requests.flush(parts.lead);
  EXPECT_EQ(parts.table.oldest_idle(parts.lead), second);
}

TEST(SessionTable, TheTimerOfAnIdleSessionIsItsKeepAliveTime) {
  driver::Config config;
  config.limits.keep_alive = 75s;
  LoopParts parts(config);
  auto [client, s] = parts.connect();
  client.send(kGet);
  parts.turn();
  parts.respond(*s, "ok");
  parts.requests.flush(parts.lead);
  EXPECT_EQ(s->deadline(), parts.base.clock.now() + 75s);
}

}  // namespace
}  // namespace iotax
