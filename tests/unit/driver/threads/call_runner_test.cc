#include "driver/threads/call_runner.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Stop;
using support::FakeApplication;
using support::ScriptedClient;
using support::ThreadParts;
using support::with_threads;

driver::Config with_deadlines() {
  driver::Config config = with_threads(2);
  config.request_timeout = 3s;
  return config;
}

/// A client whose request waits for thread 1, while thread 0 leads.
struct Waiting : ThreadParts {
  explicit Waiting(driver::Config settings = with_threads(2),
                   Supervised supervised = Supervised::no)
      : ThreadParts(std::move(settings), supervised) {
    next();
  }
  /// Another client with a request.
  void next() {
    client = request("/path");
    s = loop.ready().pop();
  }
  /// Run the request in thread 1 with the application lock, as the leader does. Returns what run()
  /// returned.
  bool run() {
    const core::Instant called = threads[1].lock.acquire();
    const bool ours = runner.run(threads[1], *s, called);
    threads[1].lock.release();
    if (ours) complete();
    return ours;
  }
  void complete() {
    loop.requests().completed(lead, *s);
    loop.flush(lead);
  }
  [[nodiscard]] std::string status() const { return client.received().substr(0, 12); }
  [[nodiscard]] bool rung() {
    std::array<std::byte, 1> byte;
    return bool(sys.read(wakeup.read, byte));
  }

  ScriptedClient client;
  Session* s = nullptr;
};

TEST(CallRunner, CallsTheApplicationAndCountsTheRequest) {
  Waiting waiting;
  EXPECT_EQ(waiting.runner.requests(), 0U);
  EXPECT_TRUE(waiting.run());
  ASSERT_EQ(waiting.app.calls.size(), 1U);
  EXPECT_EQ(waiting.app.calls[0].path, "/path");
  EXPECT_EQ(waiting.app.calls[0].thread, 1U);
  EXPECT_EQ(waiting.runner.requests(), 1U);
  EXPECT_EQ(waiting.status(), "HTTP/1.1 200");
}

TEST(CallRunner, TheScoreboardShowsACallOnlyWhileItRuns) {
  Waiting waiting;
  std::optional<driver::Running> seen;
  std::size_t running = 0;
  waiting.app.views["/path"] = [&](driver::Exchange& e) {
    seen = waiting.slot.scoreboard.call(0, 1).read();
    running = waiting.runner.running();
    FakeApplication::answer(e, "ok");
  };
  EXPECT_TRUE(waiting.run());
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->line, "GET /path");
  EXPECT_EQ(running, 1U);
  EXPECT_EQ(waiting.runner.running(), 0U);
  EXPECT_TRUE(waiting.slot.scoreboard.call(0, 1).free());
}

driver::Config counted() {
  driver::Config config = with_threads(2);
  config.counts = true;
  return config;
}

TEST(CallRunner, PublishesHowLongItsThreadRunsCalls) {
  Waiting waiting(counted());
  const driver::Stopwatch& busy = waiting.loop.report().times(1)->busy;
  core::Duration in_call{};
  waiting.app.views["/path"] = [&](driver::Exchange& e) {
    waiting.sys.advance(2s);
    in_call = busy.total(waiting.sys.now());
    FakeApplication::answer(e, "ok");
  };
  EXPECT_TRUE(waiting.run());
  EXPECT_EQ(in_call, 2s);
  waiting.sys.advance(5s);
  EXPECT_EQ(busy.total(waiting.sys.now()), 2s);
  waiting.next();
  EXPECT_TRUE(waiting.run());
  EXPECT_EQ(busy.total(waiting.sys.now()), 4s);
}

TEST(CallRunner, ARequestThatWasCompleteBeforeItsThreadWasFreeHasWaited) {
  Waiting waiting(counted());
  const driver::Counting here(waiting.slot.counters(1));
  const auto waits = [&] {
    driver::CounterWords words{};
    waiting.slot.counters(1)->add_to(words);
    return words[driver::CounterIndex::kWaited];
  };
  ScriptedClient second;
  waiting.app.views["/path"] = [&](driver::Exchange& e) {
    waiting.sys.advance(1ms);
    FakeApplication::answer(e, "ok");
  };
  EXPECT_TRUE(waiting.run());
  waiting.sys.advance(1ms);
  waiting.next();
  const auto during = [&](driver::Exchange& e) {
    second = waiting.request("/second");
    waiting.sys.advance(1ms);
    FakeApplication::answer(e, "ok");
  };
  waiting.app.views["/path"] = during;
  EXPECT_TRUE(waiting.run());
  EXPECT_EQ(waits(), 0U);
  waiting.s = waiting.loop.ready().pop();
  EXPECT_TRUE(waiting.run());
  EXPECT_EQ(waits(), 1U);
}

TEST(CallRunner, TellsTheLeaderThatTheSessionWasTakenDuringTheCall) {
  Waiting waiting(with_deadlines());
  waiting.app.views["/path"] = [&](driver::Exchange&) {
    auto& exchange = waiting.threads[1].exchange;
    EXPECT_TRUE(exchange.take(exchange.claim().word()));
  };
  EXPECT_FALSE(waiting.run());
  waiting.loop.requests().take_away(waiting.lead, *waiting.s, driver::Withdrawn::before_head, 3s);
  waiting.loop.requests().thread_returned(waiting.lead, *waiting.s);
}

// ---- run_queued()

TEST(CallRunner, AQueuedRequestOnAQuietConnectionNeedsNoMailToTheLeader) {
  Waiting waiting;
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_EQ(waiting.status(), "HTTP/1.1 200");
  EXPECT_FALSE(waiting.mailbox.any());
  EXPECT_EQ(waiting.s->stream.owner.load(), driver::Owner::loop);
  EXPECT_FALSE(waiting.threads[1].lock.held());
}

TEST(CallRunner, TheLeaderGetsASessionBackByMailIfItsSocketIsMasked) {
  Waiting waiting;
  waiting.client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
  waiting.turn();
  ASSERT_EQ(waiting.s->stream.owner.load(), driver::Owner::surprised);
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_TRUE(waiting.mailbox.any());
  waiting.overdue.deliver_mail(waiting.lead);
  waiting.turn();
  EXPECT_EQ(waiting.loop.ready().size(), 1U);  // the next request was read
}

TEST(CallRunner, TheLeaderGetsASessionBackByMailIfItsClientDoesNotRead) {
  Waiting waiting;
  waiting.client.read_by_hand(10);
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_TRUE(waiting.s->link.backlogged());
  EXPECT_TRUE(waiting.mailbox.any());
  waiting.overdue.deliver_mail(waiting.lead);
  waiting.client.read_by_hand(10000);
  waiting.turn();
  EXPECT_FALSE(waiting.s->link.backlogged());
}

TEST(CallRunner, TheLeaderGetsASessionBackByMailIfItsConnectionHasToClose) {
  Waiting waiting;
  ScriptedClient closing = waiting.sys.connect(waiting.listener);
  closing.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  waiting.turn();
  waiting.turn();
  ThreadParts::Session& s = *waiting.loop.ready().pop();
  waiting.runner.run_queued(waiting.threads[1], s);
  EXPECT_TRUE(waiting.mailbox.any());
  waiting.overdue.deliver_mail(waiting.lead);
  EXPECT_TRUE(closing.ended());
}

TEST(CallRunner, TheLeaderGetsASessionBackByMailIfAStopIsRequestedAfterItsHead) {
  Waiting waiting;
  waiting.app.views["/path"] = [&](driver::Exchange& e) {
    FakeApplication::answer(e, "ok");
    waiting.stop.request(Stop::prompt, 0);
  };
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_TRUE(waiting.mailbox.any());
  waiting.overdue.deliver_mail(waiting.lead);
}

TEST(CallRunner, ASendThatFailsReturnsTheSessionToTheLeader) {
  Waiting waiting;
  waiting.sys.fail("send", 1, EPIPE);
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_TRUE(waiting.mailbox.any());
  waiting.overdue.deliver_mail(waiting.lead);
  EXPECT_EQ(waiting.loop.connections(), 0U);
}

TEST(CallRunner, AQueuedRequestThatWaitedTooLongIsNotCalled) {
  driver::Config config = with_threads(2);
  config.queue_timeout = 5s;
  Waiting waiting(config);
  waiting.pass(6s);
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_TRUE(waiting.app.calls.empty());
  EXPECT_EQ(waiting.status(), "HTTP/1.1 503");
  EXPECT_FALSE(waiting.threads[1].lock.held());
}

TEST(CallRunner, ARequestThatIsWithdrawnWhileItWaitsForTheLockIsNotCalled) {
  Waiting waiting(with_deadlines());
  waiting.locked([&](const driver::Locked& l) { waiting.overdue.set_timer(waiting.lead, l, 0); });
  (void)waiting.loop.clock().wait_until(waiting.sys.now() + 4s, false);  // the leader waits
  waiting.app.enter(FakeApplication::kOthers);
  waiting.sys.after(4s, [&] {
    waiting.loop.clock().read();
    waiting.overdue.check(waiting.lead);
    waiting.app.leave(FakeApplication::kOthers);
  });
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_TRUE(waiting.app.calls.empty());
  EXPECT_EQ(waiting.status(), "HTTP/1.1 503");
  EXPECT_TRUE(waiting.threads[1].lock.has_credit());  // its share after the wait
  EXPECT_FALSE(waiting.runner.any_late());
}

TEST(CallRunner, AQueuedRequestWhoseSessionWasTakenIsNotReturnedTwice) {
  Waiting waiting(with_deadlines());
  waiting.app.views["/path"] = [&](driver::Exchange&) {
    EXPECT_TRUE(waiting.overdue.expire(1, waiting.threads[1].exchange.claim().word()));
  };
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_EQ(waiting.client.received(), "");  // the leader responds
  waiting.overdue.deliver_mail(waiting.lead);
  EXPECT_EQ(waiting.status(), "HTTP/1.1 504");
}

TEST(CallRunner, WakesTheNextThreadForTheQueueBeforeItsCall) {
  driver::Config config;
  config.threads = 3;
  Waiting waiting(config);
  const ScriptedClient other = waiting.request("/other");
  waiting.enqueue();
  waiting.locked([&](const driver::Locked& l) { waiting.dispatch.push_idle(2, l); });
  std::uint32_t woken = 0;
  waiting.app.views["/path"] = [&](driver::Exchange& e) {
    woken = waiting.threads[2].wake.load();
    FakeApplication::answer(e, "ok");
  };
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_EQ(woken, driver::kWakeRequest);
}

// ---- calls without the lead

TEST(CallRunner, AQueuedCallIsLateWhileItRuns) {
  Waiting waiting;
  bool late = false;
  waiting.app.views["/path"] = [&](driver::Exchange& e) {
    late = waiting.runner.any_late();
    FakeApplication::answer(e, "ok");
  };
  waiting.runner.run_queued(waiting.threads[1], *waiting.s);
  EXPECT_TRUE(late);
  EXPECT_FALSE(waiting.runner.any_late());
  waiting.next();
  EXPECT_TRUE(waiting.run());
  EXPECT_FALSE(late);
}

TEST(CallRunner, AThreadThatLostTheLeadSendsItsResponseAfterTheNewLeader) {
  Waiting waiting;
  driver::AppThreadState<ThreadParts::E>& thread = waiting.threads[0];
  const driver::LeftLead lent = waiting.leadership.lend(std::move(waiting.lead), 0);
  const core::Instant called = thread.lock.acquire();
  const bool ours = waiting.runner.run(thread, *waiting.s, called);
  std::optional<driver::Lead> taken = waiting.locked(
      [&](const driver::Locked& l) { return waiting.leadership.take_over(lent.word(), l); });
  ASSERT_TRUE(taken);
  waiting.mutex.lock();  // the new leader has it while it sends earlier responses
  const core::Instant began = waiting.sys.now();
  waiting.sys.after(1s, [&] { waiting.mutex.unlock(); });
  waiting.runner.finish_late(thread, *waiting.s, called, ours);
  EXPECT_EQ(waiting.client.told_at(), began + 1s);
  EXPECT_EQ(waiting.status(), "HTTP/1.1 200");
  EXPECT_FALSE(thread.lock.held());
  EXPECT_FALSE(waiting.runner.any_late());
}

TEST(CallRunner, LateCallsThatLastLongMakeDispatchDirect) {
  Waiting waiting;
  waiting.app.views["/path"] = [&](driver::Exchange& e) {
    waiting.sys.advance(2ms);
    FakeApplication::answer(e, "ok");
  };
  for (int n = 0; n < 20; ++n) {
    waiting.runner.run_queued(waiting.threads[1], *waiting.s);
    waiting.next();
  }
  waiting.locked([&](const driver::Locked& l) { waiting.dispatch.begin_direct_if_slow(l); });
  EXPECT_TRUE(waiting.dispatch.direct());
}

// ---- signals

TEST(CallRunner, SignalHandlersRunWithTheApplicationLock) {
  Waiting waiting;
  waiting.app.signal_handler = [&] { EXPECT_TRUE(waiting.threads[0].lock.held()); };
  waiting.runner.run_signal_handlers();
  EXPECT_EQ(waiting.app.signal_runs.size(), 1U);
  EXPECT_FALSE(waiting.threads[0].lock.held());
  EXPECT_FALSE(waiting.stop.is_requested());
}

TEST(CallRunner, SignalHandlersDoNotReleaseALockThatWasHeldBefore) {
  Waiting waiting;
  waiting.threads[0].lock.acquire();
  waiting.runner.run_signal_handlers();
  EXPECT_TRUE(waiting.threads[0].lock.held());
  waiting.threads[0].lock.release();
}

TEST(CallRunner, ASignalHandlerThatRaisesStopsTheWorkerAndWakesTheLeader) {
  Waiting waiting;
  waiting.app.signal_handler_raises = true;
  waiting.runner.run_signal_handlers();
  EXPECT_EQ(waiting.stop.requested(), Stop::prompt);
  EXPECT_TRUE(waiting.rung());
}

// ---- reports to the supervisor

TEST(CallRunner, TheSupervisorIsToldOnceThatTheMaximumOfRequestsIsReached) {
  driver::Config config = with_threads(2);
  config.requests_max = 2;
  Waiting waiting(config, ThreadParts::Supervised::yes);
  const std::vector<support::scripted::Channel::Message>& reports =
      waiting.sys.channel_of(waiting.channel).from_worker;
  EXPECT_TRUE(waiting.run());
  EXPECT_TRUE(reports.empty());
  for (int n = 0; n < 2; ++n) {
    waiting.next();
    EXPECT_TRUE(waiting.run());
  }
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].text, "max_requests 2");
}

TEST(CallRunner, TheSupervisorIsToldThatRequestsRunUnlessItWatches) {
  driver::Config config = with_threads(2);
  config.tells_when_busy = true;
  Waiting waiting(config, ThreadParts::Supervised::yes);
  const std::vector<support::scripted::Channel::Message>& reports =
      waiting.sys.channel_of(waiting.channel).from_worker;
  EXPECT_TRUE(waiting.run());
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].text, "busy");
  waiting.next();
  EXPECT_TRUE(waiting.run());  // it watches since the report
  EXPECT_EQ(reports.size(), 1U);
  waiting.slot.scoreboard.worker(0).watch(false);
  waiting.next();
  EXPECT_TRUE(waiting.run());
  EXPECT_EQ(reports.size(), 2U);
}

TEST(CallRunner, AReportThatCannotBeSentDoesNotDelayTheCall) {
  driver::Config config = with_threads(2);
  config.requests_max = 1;
  Waiting waiting(config, ThreadParts::Supervised::yes);
  waiting.sys.fail_always("send_message", EAGAIN);
  EXPECT_TRUE(waiting.run());
  EXPECT_EQ(waiting.status(), "HTTP/1.1 200");
}

TEST(CallRunner, AReportThatCannotBeSentIsRepeatedByTheNextCall) {
  driver::Config config = with_threads(2);
  config.requests_max = 1;
  config.tells_when_busy = true;
  Waiting waiting(config, ThreadParts::Supervised::yes);
  const std::vector<support::scripted::Channel::Message>& reports =
      waiting.sys.channel_of(waiting.channel).from_worker;
  waiting.sys.fail("send_message", 1, EAGAIN, 2);
  EXPECT_TRUE(waiting.run());
  EXPECT_TRUE(reports.empty());
  waiting.next();
  EXPECT_TRUE(waiting.run());
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].text, "busy");
  EXPECT_EQ(reports[1].text, "max_requests 2");
}

}  // namespace
}  // namespace iotax
