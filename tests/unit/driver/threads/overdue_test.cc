#include "driver/threads/overdue.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::WatchKind;
using support::ScriptedClient;
using support::ThreadParts;

driver::Config with_timeouts(unsigned threads) {
  driver::Config config;
  config.threads = threads;
  config.slow_request = 1s;
  config.request_timeout = 3s;
  config.timeout_grace = 5s;
  return config;
}

/// A call in progress in thread 1.
struct InCall : ThreadParts {
  static driver::Config counted() {
    driver::Config config = with_timeouts(2);
    config.counts = true;
    return config;
  }
  explicit InCall(driver::Config settings = with_timeouts(2)) : ThreadParts(std::move(settings)) {
    client = request("/slow");
    s = loop.ready().pop();
    threads[1].call.begin(s->stream.line, s->stream.id, loop.now());
    threads[1].exchange.begin(*s, loop.now());
    locked([&](const driver::Locked& l) { overdue.set_timer(lead, l, 0); });
  }
  void check_after(core::Duration time) {
    pass(time);
    overdue.check(lead);
  }
  [[nodiscard]] driver::ClaimWord word() { return threads[1].exchange.claim().word(); }

  ScriptedClient client;
  Session* s = nullptr;
};

TEST(Overdue, ReportsASlowCallOnce) {
  InCall call;
  call.check_after(1100ms);
  const auto event = call.overdue.next_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, WatchKind::slow);
  EXPECT_EQ(event->thread, 1U);
  EXPECT_EQ(event->line, "GET /slow");
  call.check_after(1100ms);
  call.overdue.close();
  EXPECT_FALSE(call.overdue.next_event());
}

TEST(Overdue, TheScoreboardSaysThatTheWatchWaitsForTheLock) {
  InCall call;
  call.check_after(1100ms);
  (void)call.overdue.next_event();
  EXPECT_EQ(call.slot.scoreboard.worker(0).waits_for_app_lock_since(), call.sys.now());
  call.overdue.app_lock_acquired();
  EXPECT_EQ(call.slot.scoreboard.worker(0).waits_for_app_lock_since(), core::Instant{});
}

TEST(Overdue, TheWatchRespondsForAnOverdueCall) {
  InCall call;
  call.check_after(3s);
  EXPECT_EQ(call.overdue.next_event()->kind, WatchKind::overdue);
  const driver::ClaimWord word = call.word();
  EXPECT_TRUE(call.overdue.expire(1, word));
  EXPECT_FALSE(call.overdue.expire(1, word));
  EXPECT_TRUE(call.overdue.is_expired(1, word));
  call.overdue.deliver_mail(call.lead);
  EXPECT_EQ(call.client.received().substr(0, 12), "HTTP/1.1 504");
  EXPECT_TRUE(call.overdue.waits_for_thread(call.lead));
  call.overdue.call_returned(call.threads[1], *call.s);
  (void)call.threads[1].exchange.end();
  call.overdue.deliver_mail(call.lead);
  EXPECT_FALSE(call.overdue.waits_for_thread(call.lead));
}

TEST(Overdue, TheLeaderRespondsWhenTheWatchDoesNotGetTheLock) {
  InCall call;
  call.check_after(3s);
  EXPECT_EQ(call.client.received(), "");
  call.check_after(100ms);
  EXPECT_EQ(call.client.received().substr(0, 12), "HTTP/1.1 504");
  EXPECT_FALSE(call.overdue.expire(1, call.word()));
  call.overdue.call_returned(call.threads[1], *call.s);
  (void)call.threads[1].exchange.end();
  call.overdue.deliver_mail(call.lead);
}

TEST(Overdue, ACallInADebuggerHasNoDeadline) {
  InCall call;
  call.overdue.suspend(1, call.word());
  call.check_after(1h);
  call.overdue.close();
  EXPECT_FALSE(call.overdue.next_event());
  EXPECT_EQ(call.client.received(), "");
}

TEST(Overdue, AThreadThatDoesNotReturnIsGivenUpAndReplaced) {
  InCall call;
  call.check_after(3s);
  (void)call.overdue.next_event();
  EXPECT_TRUE(call.overdue.expire(1, call.word()));
  call.overdue.deliver_mail(call.lead);
  call.check_after(0s);
  call.check_after(5s);
  const auto event = call.overdue.next_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, WatchKind::lost);
  EXPECT_EQ(event->replacement, 2);
  std::size_t logged = 0;
  for (const std::string& line : call.log.server_lines) {
    logged += line.find("--request-timeout-grace") != std::string::npos;
  }
  EXPECT_EQ(logged, 1U);
  EXPECT_FALSE(call.overdue.waits_for_thread(call.lead));  // it may never return
  call.overdue.call_returned(call.threads[1], *call.s);
  (void)call.threads[1].exchange.end();
  call.overdue.deliver_mail(call.lead);
}

TEST(Overdue, CountsEachDeadlineOfACall) {
  InCall call(InCall::counted());
  const driver::Counting here(call.slot.counters(0));
  const auto counts = [&](std::size_t kind) {
    driver::CounterWords words{};
    call.slot.counters(0)->add_to(words);
    return words[driver::CounterIndex::kDeadline + kind];
  };
  call.check_after(1100ms);
  EXPECT_EQ(counts(0), 1U) << "slow";
  call.check_after(2s);
  EXPECT_EQ(counts(1), 1U) << "timeout";
  EXPECT_TRUE(call.overdue.expire(1, call.word()));
  call.overdue.deliver_mail(call.lead);
  call.check_after(0s);
  EXPECT_EQ(counts(2), 0U);
  call.check_after(5s);
  EXPECT_EQ(counts(2), 1U) << "lost";
  call.check_after(5s);
  EXPECT_EQ(counts(0) + counts(1) + counts(2), 3U);
  call.overdue.call_returned(call.threads[1], *call.s);
  (void)call.threads[1].exchange.end();
  call.overdue.deliver_mail(call.lead);
}

TEST(Overdue, ARequestThatCannotStartIsRejectedAndWithdrawn) {
  ThreadParts parts(with_timeouts(2));
  const ScriptedClient client = parts.request();
  ThreadParts::Session& s = *parts.loop.ready().pop();
  parts.locked([&](const driver::Locked& l) { parts.overdue.set_timer(parts.lead, l, 0); });
  parts.threads[1].offer.make(s, parts.loop.now());
  parts.pass(2s);
  parts.overdue.check(parts.lead);
  EXPECT_FALSE(parts.overdue.is_stuck());
  parts.pass(1s);
  parts.overdue.check(parts.lead);
  EXPECT_TRUE(parts.overdue.is_stuck());
  EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 503");
  EXPECT_FALSE(parts.threads[1].offer.accept());
}

TEST(Overdue, WithoutASupervisorARestartIsRequestedOnceInTheLog) {
  ThreadParts parts(with_timeouts(2));
  parts.overdue.ask_for_replacement("why");
  parts.overdue.ask_for_replacement("why");
  ASSERT_EQ(parts.log.server_lines.size(), 1U);
  EXPECT_NE(parts.log.server_lines[0].find("restart it"), std::string::npos);
}

TEST(Overdue, TheSupervisorIsAskedForAReplacement) {
  ThreadParts parts(with_timeouts(2));
  const int channel = parts.sys.open_channel();
  parts.loop.add_channel(channel);
  parts.overdue.set_supervised();
  parts.overdue.ask_for_replacement("why");
  ASSERT_EQ(parts.sys.channel_of(channel).from_worker.size(), 1U);
  EXPECT_NE(parts.sys.channel_of(channel).from_worker[0].text.find("why"), std::string::npos);
  EXPECT_TRUE(parts.log.server_lines.empty());
}

TEST(Overdue, WithoutDeadlinesNothingIsWatched) {
  ThreadParts parts;
  EXPECT_FALSE(parts.overdue.on());
  parts.overdue.check(parts.lead);
}

}  // namespace
}  // namespace iotax
