#include "driver/threads/spare.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "support/session_response.h"
#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::LeadState;
using driver::LeadWord;
using driver::Locked;
using driver::LockUse;
using driver::Stop;
using support::kGet;
using support::ScriptedClient;
using support::ScriptedSys;
using support::ThreadParts;
using support::with_threads;

/// The spare thread, which runs next to the test. The test acts as the application threads: it has
/// the lead.
struct OneSpare : ThreadParts {
  explicit OneSpare(driver::Config settings = with_threads(3)) : ThreadParts(std::move(settings)) {}
  ~OneSpare() { end(); }

  /// Start the spare and let it run until it watches.
  void start() {
    thread = std::move(*sys.start_thread("spare", [this] {
      spare.run();
      ended = true;
    }));
    settle();
  }
  void settle() { sys.sleep(10us); }
  /// Serve the queue, like application threads, and end the worker.
  void end() {
    while (dispatch.queued() != 0) {
      Session* const s = locked([&](const Locked& l) { return &dispatch.pop(l); });
      support::write_response(*s);
      mailbox.post_returned(*s);
    }
    stop.request(Stop::prompt, 0);
    mailbox.ring();
    leader.end_threads();
    thread.join();
  }
  /// Lend the lead of thread 0, as for a call.
  driver::LeftLead lend() {
    driver::LeftLead left = leadership.lend(std::move(lead), 0);
    signal.watch();
    return left;
  }
  /// Start the spare, and let it take over the lead of a call that lasts long.
  void start_leading() {
    start();
    (void)lend();
    sys.sleep(3 * tuning.tick);
  }
  void push_idle(unsigned number) {
    locked([&](const Locked& l) { dispatch.push_idle(number, l); });
  }
  void expect(unsigned holder, LeadState state) const {
    EXPECT_EQ(leadership.word().holder(), holder);
    EXPECT_EQ(leadership.word().state(), state);
  }

  ScriptedSys::Thread thread;
  bool ended = false;
};

// ---- watching

TEST(Spare, SleepsWhileNoThreadLends) {
  OneSpare one;
  one.start();
  one.sys.sleep(1s);
  one.sys.reset_calls();
  one.sys.sleep(1h);
  EXPECT_EQ(one.sys.calls("futex_wait"), 0U);
}

TEST(Spare, TakesOverALeadThatIsLentForTwoTicks) {
  OneSpare one;
  one.start();
  one.sys.sleep(1s);  // it sleeps, and lending wakes it
  const driver::LeftLead lent = one.lend();
  one.sys.sleep(one.tuning.tick - 20us);
  EXPECT_EQ(one.leadership.word(), lent.word());
  one.sys.sleep(one.tuning.tick + 40us);
  EXPECT_EQ(one.leadership.word().holder(), LeadWord::kSpare);
  EXPECT_FALSE(one.leadership.reclaim(lent, 0));
}

TEST(Spare, DoesNotTakeOverALeadThatIsLentForManyQuickCalls) {
  OneSpare one;
  one.start();
  for (int n = 0; n < 100; ++n) {
    const driver::LeftLead lent = one.lend();
    one.sys.sleep(700us);
    std::optional<driver::Lead> back = one.leadership.reclaim(lent, 0);
    ASSERT_TRUE(back) << "at call " << n;
    one.lead = std::move(*back);
  }
}

TEST(Spare, TakesOverAtOnceWhenTheCallIsAboutToWait) {
  OneSpare one;
  one.start();
  (void)one.lend();
  one.signal.act_now();
  one.settle();
  EXPECT_EQ(one.leadership.word().holder(), LeadWord::kSpare);
}

TEST(Spare, WatchesWithoutAShortSliceWhereTheSystemHasNone) {
  OneSpare one;
  one.sys.fail_always("set_slice", EINVAL);
  one.start_leading();
  EXPECT_EQ(one.leadership.word().holder(), LeadWord::kSpare);
}

// ---- taking over

TEST(Spare, SendsTheResponsesThatWereCompleteBeforeTheCall) {
  OneSpare one;
  const ScriptedClient client = one.request();
  ThreadParts::Session& s = *one.loop.ready().pop();
  support::write_response(s, "ok");
  one.loop.requests().completed(one.lead, s);
  one.push_idle(2);  // the thread that is granted the lead may take long to wake up
  one.start_leading();
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
}

TEST(Spare, GrantsTheLeadToAnIdleThread) {
  OneSpare one;
  one.push_idle(2);
  one.start_leading();
  one.expect(2, LeadState::held);
  EXPECT_EQ(one.threads[2].wake.load(), driver::kWakeLead);
}

TEST(Spare, QueuesTheReadyRequestsIfNoThreadIsIdle) {
  OneSpare one;
  const ScriptedClient client = one.request();
  one.start_leading();
  EXPECT_EQ(one.dispatch.queued(), 1U);
  EXPECT_TRUE(one.loop.ready().empty());
}

TEST(Spare, MakesDispatchDirectIfManyCallsWereSlow) {
  OneSpare one;
  one.make_direct();
  one.locked([&](const Locked& l) {
    for (int n = 0; n < 2000; ++n) one.dispatch.record_quick_call();
    one.dispatch.end_direct_if_quick(l);
  });
  for (int n = 0; n < 20; ++n) one.dispatch.record_call(one.sys.now() - 2 * one.tuning.slow);
  ASSERT_FALSE(one.dispatch.direct());
  one.start_leading();
  EXPECT_TRUE(one.dispatch.direct());
}

// ---- leading

TEST(Spare, ParksTheLeadWhileItWaitsForEvents) {
  OneSpare one;
  one.start_leading();
  one.expect(LeadWord::kSpare, LeadState::parked);
  one.sys.reset_calls();
  one.sys.sleep(10s);
  EXPECT_EQ(one.sys.calls("poll"), 0U);  // it waits, it does not poll
}

TEST(Spare, AcceptsConnectionsAndQueuesTheirRequests) {
  OneSpare one;
  one.start_leading();
  ScriptedClient client = one.sys.connect(one.listener);
  client.send(kGet);
  one.settle();
  EXPECT_EQ(one.dispatch.queued(), 1U);
  EXPECT_TRUE(one.app.calls.empty());  // it never calls the application
  one.expect(LeadWord::kSpare, LeadState::parked);
}

TEST(Spare, GrantsTheLeadToAThreadThatBecameIdleWhenAnEventArrives) {
  OneSpare one;
  one.start_leading();
  one.push_idle(1);
  ScriptedClient client = one.sys.connect(one.listener);
  client.send(kGet);
  one.settle();
  one.expect(1, LeadState::held);
  EXPECT_EQ(one.threads[1].wake.load(), driver::kWakeLead);
}

TEST(Spare, WakesAnIdleThreadForTheQueueIfDispatchIsDirect) {
  OneSpare one;
  one.make_direct();
  one.push_idle(1);
  one.start_leading();
  one.expect(LeadWord::kSpare, LeadState::parked);
  EXPECT_EQ(one.threads[1].wake.load(), 0U);
  ScriptedClient client = one.sys.connect(one.listener);
  client.send(kGet);
  one.settle();
  EXPECT_EQ(one.threads[1].wake.load(), driver::kWakeRequest);
  one.expect(LeadWord::kSpare, LeadState::parked);
}

TEST(Spare, AThreadClaimsTheParkedLeadAndTheSpareWatchesIt) {
  OneSpare one;
  one.start_leading();
  std::optional<driver::Lead> claimed = one.locked(
      [&](const Locked& l) { return one.leadership.claim_parked(one.leadership.word(), 1, l); });
  ASSERT_TRUE(claimed);
  one.sys.sleep(10ms);
  one.expect(1, LeadState::held);
  (void)one.leadership.lend(std::move(*claimed), 1);
  one.signal.watch();
  one.sys.sleep(3 * one.tuning.tick);
  EXPECT_EQ(one.leadership.word().holder(), LeadWord::kSpare);
}

TEST(Spare, DeliversMailWhileItLeads) {
  OneSpare one;
  const ScriptedClient client = one.request();
  ThreadParts::Session& s = *one.loop.ready().pop();
  one.start_leading();
  support::write_response(s, "ok");
  one.mailbox.post_returned(s);
  one.settle();
  EXPECT_FALSE(one.mailbox.any());
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
}

TEST(Spare, LeavesSignalsToThreadZeroWhileItLeads) {
  OneSpare one;
  one.start_leading();
  static constexpr std::array kNumber{std::byte{10}};
  (void)one.sys.write(one.wakeup.write, kNumber);
  one.settle();
  EXPECT_TRUE(one.app.signal_runs.empty());
  EXPECT_EQ(one.threads[0].wake.load(), driver::kWakeSignals);
}

TEST(Spare, ChecksDeadlinesWhenItTakesOver) {
  driver::Config config = with_threads(3);
  config.request_timeout = 3s;
  OneSpare one(config);
  const ScriptedClient client = one.request();
  ThreadParts::Session& s = *one.loop.ready().pop();
  one.locked([&](const Locked& l) { one.overdue.set_timer(one.lead, l, 0); });
  one.threads[0].exchange.begin(s, one.sys.now());
  one.start();
  (void)one.lend();
  one.sys.sleep(4s);  // no watch responds
  EXPECT_EQ(status_of(client), "HTTP/1.1 504");
  one.overdue.call_returned(one.threads[0], s);
  EXPECT_FALSE(one.threads[0].exchange.end());
}

TEST(Spare, AWaitThatFailsIsRepeated) {
  OneSpare one;
  one.start_leading();
  one.sys.fail("poll", 1, ENOMEM, 3);
  one.signal.kick();  // ends the present wait
  one.settle();
  ScriptedClient client = one.sys.connect(one.listener);
  client.send(kGet);
  one.settle();
  EXPECT_EQ(one.dispatch.queued(), 1U);
}

// ---- threads that wait for the application lock

TEST(Spare, GrantsNoLeadWhileAThreadWaitsForTheApplicationLock) {
  OneSpare one;
  one.push_idle(2);
  one.threads[1].lock.announce(LockUse::waiting);
  one.start_leading();
  EXPECT_EQ(one.leadership.word().holder(), LeadWord::kSpare);
  EXPECT_EQ(one.threads[2].wake.load(), 0U);
  one.threads[1].lock.announce(LockUse::out);
  one.sys.sleep(2 * one.tuning.tick);  // it looks again at each tick
  one.expect(2, LeadState::held);
}

TEST(Spare, TheThreadThatLostTheLeadWhileItWaitedCountsUntilItsCallIsSlow) {
  OneSpare one;
  one.push_idle(2);
  one.threads[0].lock.announce(LockUse::waiting);
  one.start_leading();
  one.threads[0].lock.announce(LockUse::held);
  one.sys.sleep(one.tuning.slow - 100us);
  EXPECT_EQ(one.leadership.word().holder(), LeadWord::kSpare);
  one.sys.sleep(3 * one.tuning.slow);
  one.expect(2, LeadState::held);
}

// ---- stopping

TEST(Spare, EndsWhileItSleeps) {
  OneSpare one;
  one.start();
  one.sys.sleep(1s);
  one.leader.end_threads();
  one.settle();
  EXPECT_TRUE(one.ended);
}

TEST(Spare, EndsTheWorkerIfItIsStoppedWhileTheSpareLeads) {
  OneSpare one;
  one.start_leading();
  one.stop.request(Stop::prompt, 0);
  one.mailbox.ring();
  one.sys.sleep(10ms);  // it waits for handshakes in progress
  EXPECT_TRUE(one.stop.is_finished());
  EXPECT_TRUE(one.ended);
}

TEST(Spare, EndsWhileAThreadHasClaimedTheLeadThatItParked) {
  OneSpare one;
  one.start_leading();
  const std::optional<driver::Lead> claimed = one.locked(
      [&](const Locked& l) { return one.leadership.claim_parked(one.leadership.word(), 1, l); });
  ASSERT_TRUE(claimed);
  one.leader.end_threads();
  one.settle();
  EXPECT_TRUE(one.ended);
}

}  // namespace
}  // namespace iotax
