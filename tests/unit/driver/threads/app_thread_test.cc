#include "driver/threads/app_thread.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

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
using support::ScriptedSys;
using support::ThreadParts;
using support::with_threads;

/// One application thread that runs, next to the test, which acts as the leader and as the others.
struct OneThread : ThreadParts {
  explicit OneThread(driver::Config settings = with_threads(3))
      : ThreadParts(std::move(settings)) {}
  ~OneThread() { end(); }

  /// Start thread `number` and let it run until it waits.
  void start(unsigned number) {
    thread = std::move(*sys.start_thread("app", [this, number] {
      app_thread(number).run();
      ended_at = sys.now();
    }));
    settle();
  }
  void settle() { sys.sleep(10us); }
  void end() {
    stop.request(Stop::prompt, 0);
    mailbox.ring();
    leader.end_threads();
    thread.join();
  }
  [[nodiscard]] std::size_t idle() {
    return locked([&](const Locked& l) { return dispatch.idle(l); });
  }
  /// Move the lead to the spare.
  driver::Lead give_to_spare() {
    (void)leadership.lend(std::move(lead), 0);
    return std::move(
        *locked([&](const Locked& l) { return leadership.take_over(leadership.word(), l); }));
  }
  void park() {
    driver::Lead spares = give_to_spare();
    locked([&](const Locked& l) { (void)leadership.park(std::move(spares), l); });
  }
  /// Like the spare: make the idle thread lead.
  void grant() {
    driver::Lead spares = give_to_spare();
    const unsigned to = locked([&](const Locked& l) {
      const unsigned found = dispatch.pop_idle(l);
      leadership.grant(std::move(spares), found, l);
      threads.mark(found, driver::kWakeLead);
      return found;
    });
    threads.wake(to);
  }
  /// Like the leader: queue the ready requests and wake a thread for them.
  void enqueue_and_wake() {
    enqueue();
    threads.wake(locked([&](const Locked& l) { return dispatch.wake_one(l); }));
  }

  ScriptedSys::Thread thread;
  core::Instant ended_at{};
};

// ---- sleeping

TEST(AppThread, IsIdleWithoutTheApplicationLockUntilTheWorkerStops) {
  OneThread one;
  one.start(1);
  EXPECT_EQ(one.idle(), 1U);
  EXPECT_EQ(one.threads[1].lock.use(), driver::LockUse::out);
  one.sys.reset_calls();
  one.sys.sleep(1h);
  EXPECT_EQ(one.sys.calls("futex_wait"), 0U);  // it does not wake up in between
  const core::Instant stopped = one.sys.now();
  one.end();
  EXPECT_EQ(one.ended_at, stopped);
}

TEST(AppThread, DoesNotStartAfterTheWorkerHasStopped) {
  OneThread one;
  one.stop.finish();
  one.start(1);
  EXPECT_EQ(one.ended_at, one.sys.now() - 10us);
  EXPECT_EQ(one.idle(), 0U);
}

TEST(AppThread, ReleasesTheApplicationLockWhenItEnds) {
  OneThread one;
  one.threads[1].lock.acquire();
  one.stop.finish();
  one.start(1);
  EXPECT_FALSE(one.threads[1].lock.held());
}

TEST(AppThread, AWakeUpWithoutAReasonDoesNotEndItsSleep) {
  OneThread one;
  one.start(1);
  one.threads.wake(1);
  one.settle();
  EXPECT_EQ(one.idle(), 1U);
  EXPECT_EQ(one.ended_at, core::Instant{});
}

TEST(AppThread, RunsSignalHandlersDuringItsSleep) {
  OneThread one;
  one.start(0);
  one.threads.mark(0, driver::kWakeSignals);
  one.threads.wake(0u);
  one.settle();
  EXPECT_EQ(one.app.signal_runs.size(), 1U);
  EXPECT_EQ(one.threads[0].wake.load(), 0U);
  EXPECT_EQ(one.idle(), 1U);
}

TEST(AppThread, KeepsTheApplicationLockForABriefWaitWhileItsShareLasts) {
  OneThread one;
  const ScriptedClient client = one.request();
  one.enqueue();
  // Thread 1 waits for the lock for 5 ms, which earns it a share as long.
  one.app.enter(FakeApplication::kOthers);
  one.sys.after(5ms, [&] { one.app.leave(FakeApplication::kOthers); });
  one.start(1);
  one.sys.sleep(5ms);
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
  EXPECT_TRUE(one.threads[1].lock.held());
  one.sys.sleep(2 * one.tuning.patience);
  EXPECT_FALSE(one.threads[1].lock.held());
}

// ---- the queue

TEST(AppThread, RunsAQueuedRequestWhenItIsWoken) {
  OneThread one;
  one.start(1);
  const ScriptedClient client = one.request();
  one.enqueue_and_wake();
  one.settle();
  ASSERT_EQ(one.app.calls.size(), 1U);
  EXPECT_EQ(one.app.calls[0].thread, 1U);
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
  EXPECT_EQ(one.idle(), 1U);
}

TEST(AppThread, RunsAllQueuedRequestsBeforeItSleeps) {
  OneThread one;
  const ScriptedClient first = one.request("/1");
  const ScriptedClient second = one.request("/2");
  one.enqueue();
  one.start(1);
  EXPECT_EQ(status_of(first), "HTTP/1.1 200");
  EXPECT_EQ(status_of(second), "HTTP/1.1 200");
  EXPECT_EQ(one.idle(), 1U);
}

TEST(AppThread, LeavesTheQueueToTheNextLeaderWhileTheSpareLeads) {
  OneThread one;
  const ScriptedClient client = one.request();
  one.enqueue();
  (void)one.give_to_spare();
  one.start(1);
  EXPECT_TRUE(one.app.calls.empty());
  EXPECT_EQ(one.idle(), 1U);  // so that the spare grants it the lead
}

TEST(AppThread, RunsTheQueueWhileTheSpareLeadsIfDispatchIsDirect) {
  OneThread one;
  one.make_direct();
  const ScriptedClient client = one.request();
  one.enqueue();
  (void)one.give_to_spare();
  one.start(1);
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
}

TEST(AppThread, AnotherThreadMayBeWokenIfItFindsTheQueueEmpty) {
  OneThread one;
  one.start(1);
  const ScriptedClient client = one.request("/1");
  one.enqueue_and_wake();
  one.locked([&](const Locked& l) { (void)one.dispatch.pop(l); });  // another thread was faster
  one.settle();
  EXPECT_TRUE(one.app.calls.empty());
  const ScriptedClient next = one.request("/2");
  one.enqueue_and_wake();
  one.settle();
  EXPECT_EQ(status_of(next), "HTTP/1.1 200");
}

// ---- the lead

TEST(AppThread, ClaimsAParkedLeadAndLeads) {
  OneThread one;
  ScriptedClient client = one.sys.connect(one.listener);
  one.park();
  one.start(1);
  EXPECT_EQ(one.leadership.word().holder(), 1U);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  one.settle();
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
  EXPECT_EQ(one.idle(), 0U);
}

TEST(AppThread, DoesNotClaimTheLeadWhileDispatchIsDirect) {
  OneThread one;
  one.make_direct();
  one.park();
  one.start(1);
  EXPECT_EQ(one.leadership.word().state(), LeadState::parked);
  EXPECT_EQ(one.idle(), 1U);
}

TEST(AppThread, LeadsWhenTheLeadIsGranted) {
  OneThread one;
  one.start(1);
  ScriptedClient client = one.sys.connect(one.listener);
  one.grant();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  one.settle();
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
  EXPECT_EQ(one.leadership.word().holder(), 1U);
  EXPECT_EQ(one.leadership.word().state(), LeadState::held);
}

TEST(AppThread, AStopEndsItWhileItLeads) {
  OneThread one;
  one.park();
  one.start(1);
  one.stop.request(Stop::prompt, 0);
  one.mailbox.ring();
  one.sys.sleep(10ms);  // it waits for handshakes in progress
  EXPECT_NE(one.ended_at, core::Instant{});
  EXPECT_TRUE(one.stop.is_finished());
}

TEST(AppThread, AThreadThatLostTheLeadInItsCallBecomesIdle) {
  OneThread one;
  ScriptedClient client = one.sys.connect(one.listener);
  bool taken = false;
  one.app.views["/"] = [&](driver::Exchange& e) {
    taken = one.locked([&](const Locked& l) {
      return one.leadership.take_over(one.leadership.word(), l).has_value();
    });
    FakeApplication::answer(e, "ok");
  };
  one.park();
  one.start(1);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  one.settle();
  EXPECT_TRUE(taken);
  EXPECT_EQ(status_of(client), "HTTP/1.1 200");
  EXPECT_EQ(one.idle(), 1U);
  EXPECT_EQ(one.leadership.word().holder(), LeadWord::kSpare);
}

// ---- lost threads

TEST(AppThread, EndsIfItHasBeenReplaced) {
  OneThread one;
  one.locked([&](const Locked& l) { (void)one.threads.lose(1, l); });
  one.start(1);
  EXPECT_NE(one.ended_at, core::Instant{});
  EXPECT_EQ(one.idle(), 0U);
  EXPECT_FALSE(one.threads[1].call.free());  // the scoreboard does not count it as free
  ASSERT_EQ(one.log.server_lines.size(), 1U);
  EXPECT_EQ(one.log.server_lines[0], "Thread iotax-1 has returned");
}

TEST(AppThread, ContinuesIfItsReplacementCouldNotBeStarted) {
  OneThread one;
  one.locked([&](const Locked& l) {
    const std::optional<unsigned> replacement = one.threads.lose(1, l);
    one.threads.replacement_failed(1, *replacement, l);
  });
  one.start(1);
  EXPECT_EQ(one.ended_at, core::Instant{});
  EXPECT_EQ(one.idle(), 1U);
  EXPECT_TRUE(one.mailbox.any());  // the leader may accept again
}

}  // namespace
}  // namespace iotax
