#include "driver/threads/leader.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/session_response.h"
#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::LeadState;
using driver::LeadWord;
using driver::Locked;
using driver::Stop;
using support::FakeApplication;
using support::ScriptedClient;
using support::ThreadParts;
using support::with_threads;

/// Thread 0 has the lead; the test is this thread.
struct Leading : ThreadParts {
  explicit Leading(driver::Config settings = with_threads(2),
                   Supervised supervised = Supervised::no)
      : ThreadParts(std::move(settings), supervised) {}

  /// Lead until a stop that is requested after `time`.
  void lead_for(core::Duration time) {
    stop_after(time);
    leader.run(std::move(lead), threads[0]);
  }
  void stop_after(core::Duration time, Stop how = Stop::prompt, int exit_code = 0) {
    sys.after(time, [this, how, exit_code] {
      stop.request(how, exit_code);
      mailbox.ring();
    });
  }
  /// Like the spare: take over the lead, which is lent.
  void take_over() {
    taken = locked([&](const Locked& l) { return leadership.take_over(leadership.word(), l); });
    EXPECT_TRUE(taken);
  }
  void write_signal() {
    static constexpr std::array kNumber{std::byte{10}};
    (void)sys.write(wakeup.write, kNumber);
  }
  /// Begin to stop without a loop.
  void begin_stop(Stop how, int exit_code = 0) {
    stop.request(how, exit_code);
    loop.stop(lead, how);
  }

  std::optional<driver::Lead> taken;
};

// ---- run()

TEST(Leader, CallsTheApplicationForReadyRequestsInOrder) {
  Leading leading;
  const ScriptedClient one = leading.request("/1");
  const ScriptedClient other = leading.request("/2");
  leading.lead_for(1s);
  ASSERT_EQ(leading.app.calls.size(), 2U);
  EXPECT_EQ(leading.app.calls[0].path, "/1");
  EXPECT_EQ(leading.app.calls[1].path, "/2");
  EXPECT_EQ(leading.app.calls[1].thread, 0U);
  EXPECT_EQ(status_of(one), "HTTP/1.1 200");
  EXPECT_EQ(status_of(other), "HTTP/1.1 200");
}

TEST(Leader, WaitsForEventsAndServesTheRequestsThatArrive) {
  Leading leading;
  ScriptedClient client = leading.sys.connect(leading.listener);
  leading.sys.after(5s, [&] { client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); });
  const core::Instant began = leading.sys.now();
  leading.lead_for(6s);
  ASSERT_EQ(leading.app.calls.size(), 1U);
  EXPECT_EQ(leading.app.calls[0].at, began + 5s);
  EXPECT_EQ(client.told_at(), began + 5s);
}

TEST(Leader, RunsTheQueuedRequestsFirst) {
  Leading leading;
  const ScriptedClient queued = leading.request("/queued");
  leading.enqueue();
  leading.lead_for(1s);
  EXPECT_EQ(leading.dispatch.queued(), 0U);
  ASSERT_EQ(leading.app.calls.size(), 1U);
  EXPECT_EQ(status_of(queued), "HTTP/1.1 200");
}

TEST(Leader, LendsTheLeadDuringACallAndHoldsItAfterwards) {
  Leading leading;
  const ScriptedClient client = leading.request();
  LeadWord during;
  leading.app.views["/"] = [&](driver::Exchange& e) {
    during = leading.leadership.word();
    FakeApplication::answer(e, "ok");
  };
  leading.lead_for(1s);
  EXPECT_EQ(during.state(), LeadState::lent);
  EXPECT_EQ(during.holder(), 0U);
  EXPECT_EQ(during, leading.threads[0].lent);
  EXPECT_EQ(leading.leadership.word().state(), LeadState::held);
  EXPECT_EQ(leading.leadership.word().holder(), 0U);
}

TEST(Leader, WithoutTheLeadItOnlyFinishesItsCall) {
  Leading leading;
  const ScriptedClient one = leading.request("/1");
  const ScriptedClient other = leading.request("/2");
  leading.app.views["/1"] = [&](driver::Exchange& e) {
    leading.take_over();
    FakeApplication::answer(e, "ok");
  };
  leading.leader.run(std::move(leading.lead), leading.threads[0]);
  EXPECT_EQ(leading.app.calls.size(), 1U);
  EXPECT_EQ(status_of(one), "HTTP/1.1 200");
  EXPECT_EQ(other.received(), "");
  EXPECT_EQ(leading.loop.ready().size(), 1U);  // the new leader's
  EXPECT_EQ(leading.leadership.word().holder(), LeadWord::kSpare);
  EXPECT_FALSE(leading.threads[0].lock.held());
}

TEST(Leader, SendsTheResponsesOfQuickCallsTogetherAfterTheLast) {
  Leading leading;
  const ScriptedClient one = leading.request("/1");
  const ScriptedClient other = leading.request("/2");
  std::string sent_before;
  leading.app.views["/2"] = [&](driver::Exchange& e) {
    sent_before = one.received();
    FakeApplication::answer(e, "ok");
  };
  leading.lead_for(1s);
  EXPECT_EQ(sent_before, "");
  EXPECT_EQ(status_of(one), "HTTP/1.1 200");
}

TEST(Leader, SendsAResponseBeforeTheNextCallIfItsCallWasNotQuick) {
  Leading leading;
  const ScriptedClient one = leading.request("/1");
  const ScriptedClient other = leading.request("/2");
  leading.app.views["/1"] = [&](driver::Exchange& e) {
    leading.sys.advance(2 * leading.tuning.flush_after);
    FakeApplication::answer(e, "ok");
  };
  std::string sent_before;
  leading.app.views["/2"] = [&](driver::Exchange& e) {
    sent_before = one.received();
    FakeApplication::answer(e, "ok");
  };
  leading.lead_for(1s);
  EXPECT_EQ(sent_before.substr(0, 12), "HTTP/1.1 200");
}

TEST(Leader, PipelinedRequestsAfterACallThatWasNotQuickWaitForOtherClients) {
  for (const bool quick : {true, false}) {
    Leading leading;
    ScriptedClient one = leading.sys.connect(leading.listener);
    one.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    leading.turn();
    const ScriptedClient other = leading.request("/2");
    leading.app.views["/1"] = [&](driver::Exchange& e) {
      if (!quick) leading.sys.advance(2 * leading.tuning.flush_after);
      FakeApplication::answer(e, "ok");
    };
    leading.lead_for(1s);
    ASSERT_EQ(leading.app.calls.size(), 3U);
    EXPECT_EQ(leading.app.calls[1].path, quick ? "/next" : "/2");
  }
}

TEST(Leader, HoldsTheApplicationLockOnlyForItsCalls) {
  Leading leading;
  const ScriptedClient client = leading.request();
  bool held_in_call = false;
  leading.app.views["/"] = [&](driver::Exchange& e) {
    held_in_call = leading.threads[0].lock.held();
    FakeApplication::answer(e, "ok");
  };
  bool held_while_waiting = true;
  leading.sys.after(500ms, [&] { held_while_waiting = leading.threads[0].lock.held(); });
  leading.lead_for(1s);
  EXPECT_TRUE(held_in_call);
  EXPECT_FALSE(held_while_waiting);
}

TEST(Leader, KeepsTheApplicationLockWhileItsShareLasts) {
  Leading leading;
  const ScriptedClient client = leading.request();
  leading.app.enter(FakeApplication::kOthers);
  leading.sys.after(5ms, [&] { leading.app.leave(FakeApplication::kOthers); });
  std::vector<bool> held;  // 2 and 10 ms after it had the lock
  for (const core::Duration after : {7ms, 15ms}) {
    leading.sys.after(after, [&] { held.push_back(leading.threads[0].lock.held()); });
  }
  // Clients whose requests arrive so often that no poll is empty.
  ScriptedClient busy = leading.sys.connect(leading.listener);
  for (core::Duration at = 5ms; at < 15ms; at += 50us) {
    leading.sys.after(at, [&] { busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); });
  }
  leading.lead_for(1s);
  EXPECT_EQ(held, (std::vector<bool>{true, false}));
}

TEST(Leader, ReleasesTheApplicationLockBeforeItWaitsThoughItsShareLasts) {
  Leading leading;
  const ScriptedClient client = leading.request();
  leading.app.enter(FakeApplication::kOthers);
  leading.sys.after(5ms, [&] { leading.app.leave(FakeApplication::kOthers); });
  bool held = true;
  leading.sys.after(6ms, [&] { held = leading.threads[0].lock.held(); });
  leading.lead_for(1s);
  EXPECT_EQ(leading.app.calls.size(), 1U);
  EXPECT_FALSE(held);
}

TEST(Leader, ARequestThatIsWithdrawnWhileItWaitsForTheLockIsNotCalled) {
  driver::Config config = with_threads(2);
  config.request_timeout = 3s;
  Leading leading(config);
  const ScriptedClient client = leading.request();
  leading.app.enter(FakeApplication::kOthers);
  leading.sys.after(4s, [&] { leading.app.leave(FakeApplication::kOthers); });
  support::ScriptedSys::Thread spare =
      std::move(*leading.sys.start_thread("spare", [&] { leading.spare.run(); }));
  leading.leader.run(std::move(leading.lead), leading.threads[0]);
  EXPECT_TRUE(leading.app.calls.empty());
  EXPECT_EQ(status_of(client), "HTTP/1.1 503");
  EXPECT_TRUE(leading.threads[0].lock.has_credit());  // its share after the wait
  leading.stop_after(0s);
  spare.join();
}

TEST(Leader, ARequestThatWaitedTooLongIsNotCalled) {
  driver::Config config = with_threads(2);
  config.queue_timeout = 5s;
  Leading leading(config);
  const ScriptedClient client = leading.request();
  leading.pass(6s);
  leading.lead_for(1s);
  EXPECT_TRUE(leading.app.calls.empty());
  EXPECT_EQ(status_of(client), "HTTP/1.1 503");
}

TEST(Leader, AFailingPollerDoesNotEndTheLoop) {
  Leading leading;
  ScriptedClient client = leading.sys.connect(leading.listener);
  leading.sys.fail("epoll_wait", 1, ENOMEM, 3);
  leading.sys.after(1s, [&] { client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); });
  leading.lead_for(2s);
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
}

TEST(Leader, InTheChildOfAForkNoOtherRequestIsCalled) {
  Leading leading;
  const ScriptedClient one = leading.request("/1");
  const ScriptedClient other = leading.request("/2");
  leading.app.views["/1"] = [&](driver::Exchange& e) {
    leading.stop.finish();  // BasicWorker::abandon_in_child()
    FakeApplication::answer(e, "ok");
  };
  leading.leader.run(std::move(leading.lead), leading.threads[0]);
  EXPECT_EQ(leading.app.calls.size(), 1U);
}

TEST(Leader, EachTurnIsCountedOnTheScoreboard) {
  Leading leading;
  leading.lead_for(1s);
  const std::uint64_t turns = leading.slot.scoreboard.worker(0).turns();
  EXPECT_GE(turns, 1U);
  EXPECT_LE(turns, 3U);  // it waits, it does not poll
}

// ---- signals, mail and orders

TEST(Leader, SignalHandlersRunInThreadZeroWhileItLeads) {
  Leading leading;
  leading.sys.after(500ms, [&] { leading.write_signal(); });
  leading.lead_for(1s);
  EXPECT_EQ(leading.app.signal_runs.size(), 1U);
}

TEST(Leader, SignalsReceivedDuringACallAreHandledWhenThreadZeroLeads) {
  Leading leading;
  leading.threads.mark(0, driver::kWakeSignals);
  leading.lead_for(1s);
  EXPECT_EQ(leading.app.signal_runs.size(), 1U);
  EXPECT_EQ(leading.threads[0].wake.load(), 0U);
}

TEST(Leader, ALeaderThatIsNotThreadZeroLeavesSignalsToIt) {
  for (const unsigned thread : {1U, LeadWord::kSpare}) {
    Leading leading;
    leading.write_signal();
    leading.turn();
    EXPECT_TRUE(leading.leader.apply_requests(leading.lead, thread));
    EXPECT_TRUE(leading.app.signal_runs.empty());
    EXPECT_EQ(leading.threads[0].wake.load(), driver::kWakeSignals);
  }
}

TEST(Leader, ASignalHandlerThatRunsLongLosesTheLead) {
  Leading leading;
  leading.app.signal_handler = [&] { leading.take_over(); };
  leading.write_signal();
  leading.turn();
  EXPECT_FALSE(leading.leader.apply_requests(leading.lead, 0));
  EXPECT_EQ(leading.leadership.word().holder(), LeadWord::kSpare);
}

TEST(Leader, DeliversMail) {
  Leading leading;
  const ScriptedClient client = leading.request();
  ThreadParts::Session& s = *leading.loop.ready().pop();
  support::write_response(s, "ok");
  leading.mailbox.post_returned(s);
  EXPECT_TRUE(leading.leader.apply_requests(leading.lead, 0));
  EXPECT_FALSE(leading.mailbox.any());
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
}

TEST(Leader, AnOrderOfTheSupervisorStopsTheWorker) {
  Leading leading(with_threads(2), ThreadParts::Supervised::yes);
  leading.sys.after(1s, [&] {
    leading.sys.channel_of(leading.channel).to_worker.push_back({"drain", nullptr});
  });
  leading.leader.run(std::move(leading.lead), leading.threads[0]);
  EXPECT_EQ(leading.stop.requested(), Stop::drain);
  EXPECT_TRUE(leading.stop.is_finished());
}

// ---- stopping

TEST(Leader, DoesNotEndWhileNoStopIsRequested) {
  Leading leading;
  EXPECT_FALSE(leading.leader.end_if_stopped(leading.lead));
  EXPECT_FALSE(leading.stop.is_finished());
}

TEST(Leader, AStopWaitsForTheRequestsInProgress) {
  Leading leading;
  ScriptedClient client = leading.request();
  leading.begin_stop(Stop::prompt);
  EXPECT_FALSE(leading.leader.end_if_stopped(leading.lead));
  ThreadParts::Session& s = *leading.loop.ready().pop();
  s.link.machine.close_soon();
  support::write_response(s, "ok");
  leading.loop.requests().completed(leading.lead, s);
  leading.loop.flush(leading.lead);
  client.close();
  leading.turn();
  EXPECT_TRUE(leading.leader.end_if_stopped(leading.lead));
  EXPECT_TRUE(leading.stop.is_finished());
}

TEST(Leader, AStopWhileItWaitsEndsTheLoop) {
  Leading leading;
  const core::Instant began = leading.sys.now();
  leading.lead_for(1h);
  EXPECT_TRUE(leading.stop.is_finished());
  EXPECT_LT(leading.sys.now(), began + 1h + 1s);
}

TEST(Leader, TheProcessEndsOnceWhenACallExceedsTheGracefulTimeout) {
  driver::Config config = with_threads(2);
  config.graceful_timeout = 5s;
  Leading leading(config);
  const ScriptedClient client = leading.request("/hangs");
  (void)leading.loop.ready().pop();
  leading.begin_stop(Stop::prompt, 3);
  leading.pass(4s);
  leading.turn();
  EXPECT_FALSE(leading.leader.end_if_stopped(leading.lead));
  EXPECT_TRUE(leading.app.ended_with.empty());
  leading.pass(2s);
  for (int n = 0; n < 2; ++n) {
    leading.turn();
    EXPECT_FALSE(leading.leader.end_if_stopped(leading.lead));
  }
  EXPECT_EQ(leading.app.ended_with, std::vector<int>{3});
  ASSERT_EQ(leading.log.access_lines.size(), 1U);  // the request that is lost
  EXPECT_NE(leading.log.access_lines[0].find("/hangs"), std::string::npos);
}

/// A call of `thread` whose session the leader has taken away, after which the worker stops.
struct Overrun : Leading {
  explicit Overrun(unsigned thread) : Leading(deadlines()) {
    client = request();
    s = loop.ready().pop();
    threads[thread].exchange.begin(*s, loop.now());
    EXPECT_TRUE(overdue.expire(thread, threads[thread].exchange.claim().word()));
    overdue.deliver_mail(lead);
    client.close();
    turn();
    begin_stop(Stop::prompt, 4);
  }
  static driver::Config deadlines() {
    driver::Config config = with_threads(2);
    config.request_timeout = 3s;
    return config;
  }

  ScriptedClient client;
  Session* s = nullptr;
};

TEST(Leader, AStopWaitsForAThreadWhoseRequestTimedOut) {
  Overrun overrun(1);
  EXPECT_FALSE(overrun.leader.end_if_stopped(overrun.lead));
  overrun.overdue.call_returned(overrun.threads[1], *overrun.s);
  EXPECT_FALSE(overrun.threads[1].exchange.end());
  overrun.overdue.deliver_mail(overrun.lead);
  EXPECT_TRUE(overrun.leader.end_if_stopped(overrun.lead));
  EXPECT_TRUE(overrun.app.ended_with.empty());
}

TEST(Leader, AStopDoesNotWaitForALostThread) {
  Overrun overrun(1);
  overrun.locked([&](const Locked& l) { (void)overrun.threads.lose(1, l); });
  EXPECT_TRUE(overrun.leader.end_if_stopped(overrun.lead));
  EXPECT_TRUE(overrun.app.ended_with.empty());
}

TEST(Leader, TheProcessEndsInAStopIfThreadZeroIsLost) {
  Overrun overrun(0);
  overrun.locked([&](const Locked& l) { (void)overrun.threads.lose(0, l); });
  EXPECT_TRUE(overrun.leader.end_if_stopped(overrun.lead));
  EXPECT_EQ(overrun.app.ended_with, std::vector<int>{4});
}

TEST(Leader, EndingTheThreadsWakesEachThatIsIdle) {
  Leading leading;
  leading.locked([&](const Locked& l) { leading.dispatch.push_idle(1, l); });
  leading.leader.end_threads();
  EXPECT_TRUE(leading.stop.is_finished());
  EXPECT_EQ(leading.threads[1].wake.load(), driver::kWakeExit);
  EXPECT_FALSE(leading.overdue.next_event());  // the watch of calls ends
  EXPECT_TRUE(leading.signal.wait_tick(1s));   // the spare acts now
  std::array<std::byte, 1> kick;
  EXPECT_TRUE(leading.sys.read(leading.signal.kicks(), kick));
}

}  // namespace
}  // namespace iotax
