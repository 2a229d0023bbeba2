// Runs one request in an application thread, and finishes it if another thread leads by then. It
// must not know how the thread got the request.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "driver/application.h"
#include "driver/config.h"
#include "driver/counters.h"
#include "driver/env.h"
#include "driver/loop/loop.h"
#include "driver/loop/thread_times.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/session/session.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/dispatch.h"
#include "driver/threads/mailbox.h"
#include "driver/threads/overdue.h"
#include "driver/threads/stop_state.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

template <Env E>
class CallRunner {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed.
  CallRunner(WorkerBase<E>& base, AppThreads<E>& threads, Dispatch<E>& dispatch,
             Overdue<E>& overdue) noexcept
      : sys_(base.sys),
        config_(base.config),
        application_(base.application),
        mutex_(base.mutex),
        loop_(base.loop),
        threads_(threads),
        mailbox_(base.mailbox),
        dispatch_(dispatch),
        overdue_(overdue),
        stop_(base.stop),
        entry_(base.entry()),
        reports_calls_(base.config.tells_when_busy || base.config.requests_max != 0) {}

  /// Call the application for the request of `s`, with the application lock. False: `s` was taken
  /// away meanwhile.
  [[nodiscard]] bool run(AppThreadState<E>& thread, Session& s, core::Instant called) {
    thread.call.begin(s.stream.line, s.stream.id, called);
    if (thread.times != nullptr) [[unlikely]]
      begin_time(*thread.times, s, called);
    if (reports_calls_) [[unlikely]]
      report_call();
    thread.exchange.begin(s, called);
    application_.call(thread.number, thread.exchange);
    thread.requests.store(thread.requests.load(std::memory_order_relaxed) + 1,
                          std::memory_order_relaxed);
    thread.call.end();
    if (thread.times != nullptr) [[unlikely]]
      return thread.exchange.end(end_time(*thread.times));
    return thread.exchange.end();
  }

  /// Finish the call of `s`, during which the spare has taken over the lead. `ours`: the result of
  /// run().
  void finish_late(AppThreadState<E>& thread, Session& s, core::Instant called, bool ours) {
    late_.fetch_add(1, std::memory_order_relaxed);
    { const std::lock_guard new_leader_has_flushed(mutex_); }
    dispatch_.record_call(called);
    finish_unled(thread, s, ours);
    late_.fetch_sub(1, std::memory_order_relaxed);
  }

  /// Run a queued request, without the lead.
  void run_queued(AppThreadState<E>& thread, Session& s) {
    late_.fetch_add(1, std::memory_order_relaxed);
    const std::optional<core::Instant> called =
        thread.lock.held() ? std::optional(sys_.now()) : overdue_.acquire_for(thread, s);
    dispatch_.wake_next(thread);
    if (called) {
      bool ours = true;
      if (loop_.requests().admit(s, loop_.clock().noticed_now())) {
        s.stream.has_earlier_output = false;
        ours = run(thread, s, *called);
        dispatch_.record_call(*called);
      }
      finish_unled(thread, s, ours);
    } else {
      thread.lock.release_unless_credit();
    }
    late_.fetch_sub(1, std::memory_order_relaxed);
  }

  /// Whether threads run calls without the lead: they wait for the application lock.
  [[nodiscard]] bool any_late() const noexcept {
    return late_.load(std::memory_order_relaxed) != 0;
  }

  /// For thread 0. A handler that raises stops the worker.
  void run_signal_handlers() {
    AppLock<E>& lock = threads_[0].lock;
    const bool held = lock.held();
    if (!held) lock.acquire();
    if (application_.run_signal_handlers()) {
      stop_.request(Stop::prompt, 0);
      mailbox_.ring();
    }
    if (!held) lock.release();
  }

  /// Requests completed and in progress. Thread-safe.
  [[nodiscard]] std::uint64_t requests() const noexcept {
    std::uint64_t count = 0;
    for (unsigned thread = 0; thread < threads_.size(); ++thread) {
      count += threads_[thread].requests.load(std::memory_order_relaxed);
    }
    return count;
  }
  [[nodiscard]] std::size_t running() const noexcept {
    std::size_t count = 0;
    for (unsigned thread = 0; thread < threads_.size(); ++thread) {
      count += threads_[thread].call.running() ? 1 : 0;
    }
    return count;
  }

 private:
  /// A request waited if this thread was busy when it was complete: an idle one is preferred.
  static void begin_time(ThreadTimes& times, const Session& s, core::Instant called) noexcept {
    times.busy.begin(called);
    if (times.free_since > s.stream.ready_at) count_here(CounterIndex::kWaited);
  }
  core::Instant end_time(ThreadTimes& times) noexcept {
    times.free_since = sys_.now();
    times.busy.end(times.free_since);
    return times.free_since;
  }

  /// Report to the supervisor that requests run, if it does not read the scoreboard, and once that
  /// this worker has run --max-requests. If a report cannot be sent, the next call repeats it.
  void report_call() {
    if (config_.tells_when_busy && entry_.wants_watching() && !loop_.channel().report(Report::busy))
      entry_.watch(false);
    if (config_.requests_max == 0) return;
    const std::uint64_t count = requests() + running();
    if (count < config_.requests_max) return;
    if (share_done_.exchange(true, std::memory_order_relaxed)) return;
    if (!loop_.channel().report(Report::max_requests, std::to_string(count)))
      share_done_.store(false, std::memory_order_relaxed);
  }

  /// Without the lead.
  void finish_unled(AppThreadState<E>& thread, Session& s, bool ours) {
    thread.lock.release_unless_credit();
    if (ours) [[likely]] {
      return_session(s);
    } else {
      overdue_.call_returned(thread, s);
    }
  }

  /// Send the response of `s` and return the session, with mail only if the leader must act on it.
  void return_session(Session& s) {
    const core::Instant now = loop_.clock().noticed_now();
    s.link.pause_clock(false, now);
    s.link.machine.on_time(now);
    loop_.sender().send_output(mutex_, s, now);
    s.link.machine.sent(0);  // idle from now on, even if no output was left
    s.stream.body.reset();
    const bool quiet =
        s.link.machine.idle() && s.link.machine.closing() == core::Closing::no &&
        s.link.outbox.get() == nullptr && !s.link.write_wanted && !loop_.acceptor().wants_room() &&
        !s.link.disconnected.load(std::memory_order_relaxed) && !stop_.is_requested();
    Owner expected = Owner::lent;
    if (quiet &&
        s.stream.owner.compare_exchange_strong(expected, Owner::loop, std::memory_order_acq_rel)) {
      if (stop_.is_requested()) mailbox_.ring();  // the leader may have looked just before
      return;
    }
    mailbox_.post_returned(s);
  }

  typename E::Sys& sys_;
  const Config& config_;
  Application& application_;
  StateMutex<E>& mutex_;
  Loop<E>& loop_;
  AppThreads<E>& threads_;
  Mailbox<E>& mailbox_;
  Dispatch<E>& dispatch_;
  Overdue<E>& overdue_;
  StopState<E>& stop_;
  WorkerEntry& entry_;
  const bool reports_calls_;  // the supervisor wants reports of calls
  std::atomic<bool> share_done_{false};
  Atomic<E, unsigned> late_{0};
};

}  // namespace iotax::driver
