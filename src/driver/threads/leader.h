// The leading thread: runs turns of the loop, and, if it is an application thread, calls the
// application for ready requests and lends the lead during each call. It must not know how threads
// come to lead.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/check.h"
#include "driver/application.h"
#include "driver/env.h"
#include "driver/loop/loop.h"
#include "driver/proof.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/session/session.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/call_runner.h"
#include "driver/threads/dispatch.h"
#include "driver/threads/leadership.h"
#include "driver/threads/mailbox.h"
#include "driver/threads/overdue.h"
#include "driver/threads/spare_signal.h"
#include "driver/threads/stop_state.h"
#include "driver/threads/tuning.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

template <Env E>
class Leader {
 public:
  using Session = driver::Session<E>;
  using Events = std::array<Event, 256>;

  /// All are borrowed.
  Leader(WorkerBase<E>& base, AppThreads<E>& threads, Dispatch<E>& dispatch, Overdue<E>& overdue,
         CallRunner<E>& runner) noexcept
      : sys_(base.sys),
        application_(base.application),
        tuning_(base.tuning),
        mutex_(base.mutex),
        loop_(base.loop),
        threads_(threads),
        leadership_(base.leadership),
        spare_(base.spare_signal),
        mailbox_(base.mailbox),
        dispatch_(dispatch),
        overdue_(overdue),
        runner_(runner),
        stop_(base.stop),
        entry_(base.entry()) {}

  /// Lead as application thread `thread`, until the lead is lost or the worker has stopped.
  void run(Lead lead, AppThreadState<E>& thread) {
    mailbox_.end_wait();
    mutex_.with_lock([&](const Locked& locked) { dispatch_.take_queue(lead, locked); });
    if (thread.number == 0 && take_signal_mark()) loop_.wakeup().keep_signals();
    Events events;
    loop_.clock().read();
    overdue_.check(lead);
    for (;;) {
      const std::size_t n = wait_for_events(lead, thread.lock, events);
      entry_.turn();
      loop_.process(lead, std::span(events).first(n));
      if (!apply_requests(lead, thread.number)) return;
      if (end_if_stopped(lead)) break;
      if (!run_ready(lead, thread)) return;
      thread.lock.release_unless_credit();
      loop_.flush(lead);
      if (end_if_stopped(lead)) break;
    }
    thread.lock.release();
  }

  /// Handle requests of other threads, the supervisor and signals. False: signal handlers ran so
  /// long that the lead was lost. `thread` may be the spare.
  [[nodiscard]] bool apply_requests(Lead& lead, unsigned thread) {
    if (mailbox_.any()) overdue_.deliver_mail(lead);
    if (const Stop ordered = loop_.take_ordered(); ordered != Stop::none) {
      stop_.request(ordered, 0);
      mailbox_.ring();
    }
    if (const Stop requested = stop_.requested(); requested != Stop::none) {
      loop_.stop(lead, requested);
    }
    if (overdue_.on()) overdue_.check(lead);
    if (!loop_.wakeup().take_signals()) return true;
    if (thread != 0) {
      threads_.mark(0, kWakeSignals);
      threads_.wake(0);
      return true;
    }
    const LeftLead lent =
        lend(std::move(lead), threads_[0]);  // a handler may take as long as a call
    runner_.run_signal_handlers();
    return reclaim(lead, lent, threads_[0]);
  }

  /// Check whether nothing is left to serve; then end every thread.
  [[nodiscard]] bool end_if_stopped(const Lead& lead) {
    if (!loop_.is_stopping()) [[likely]]
      return false;
    if (!loop_.draining().finished()) {
      if (loop_.draining().overdue()) {
        if (!std::exchange(process_ended_, true)) {
          loop_.log_lent(lead);
          application_.end_process(stop_.exit_code());
        }
      }
      return false;
    }
    if (overdue_.on() && !std::exchange(process_ended_, true)) {
      if (overdue_.waits_for_thread(lead)) {
        process_ended_ = false;
        return false;
      }
      const bool lost = mutex_.with_lock(
          [&](const Locked& locked) { return threads_.loss(0, locked) != Loss::none; });
      if (lost) application_.end_process(stop_.exit_code());  // the process would wait for it
    }
    loop_.report().report(lead);
    end_threads();
    return true;
  }

  /// End every thread of the worker as soon as it has left its call.
  void end_threads() {
    const std::vector<unsigned> idle = mutex_.with_lock([&](const Locked& locked) {
      stop_.finish();
      std::vector<unsigned> taken = dispatch_.take_idle(locked);
      for (const unsigned thread : taken) threads_.mark(thread, kWakeExit);
      return taken;
    });
    for (const unsigned thread : idle) threads_.wake(thread);
    overdue_.close();
    spare_.act_now();
    spare_.kick();
  }

 private:
  /// Withdraw a mark of signals for thread 0 that was set during a call: it will not be idle now.
  [[nodiscard]] bool take_signal_mark() noexcept {
    return (threads_[0].wake.fetch_and(~std::uint32_t{kWakeSignals}) & kWakeSignals) != 0;
  }

  std::size_t wait_for_events(const Lead& lead, AppLock<E>& lock, Events& events) {
    const auto poll = [&](core::Duration timeout) {
      const Result<std::size_t> n = loop_.poll(lead, events, timeout);
      return n ? *n : 0;
    };
    const bool more = !loop_.ready().empty() || loop_.wakeup().has_signals() || mailbox_.any();
    std::size_t n = 0;
    if (poll_again_ || lock.held() || more) n = poll(core::Duration::zero());
    if (n == 0 && lock.held() && !more) n = poll(tuning_.patience);  // its share of the lock lasts
    if (n == 0 && !more) {
      lock.release();
      if (overdue_.on()) {
        mutex_.with_lock([&](const Locked& locked) { overdue_.set_timer(lead, locked, 1); });
      }
      const core::Duration timeout = loop_.patience();
      if (mailbox_.begin_wait()) n = poll(timeout);
      mailbox_.end_wait();
    }
    poll_again_ = n > 1;
    return n;
  }

  /// Call the application for all ready requests, one at a time. False: the lead was lost.
  [[nodiscard]] bool run_ready(Lead& lead, AppThreadState<E>& thread) {
    AppLock<E>& lock = thread.lock;
    RequestQueue<E>& requests = loop_.requests();
    core::Instant called = lock.held() ? sys_.now() : core::Instant{};
    core::Instant first{};  // the first unsent response of this turn
    while (!loop_.ready().empty()) {
      Session& s = *loop_.ready().pop();
      if (!requests.admit(s, loop_.now())) {
        requests.completed(lead, s);
        continue;
      }
      s.stream.has_earlier_output = !s.link.earlier_output.empty(lead);
      // Announced before lending: a thread that takes over must know why the call may be late.
      if (!lock.held()) lock.announce(LockUse::waiting);
      const LeftLead lent = lend(std::move(lead), thread);
      if (!lock.held()) {
        const std::optional<core::Instant> had = overdue_.acquire_for(thread, s);
        if (!had) {  // another leader has withdrawn `s`
          lock.release_unless_credit();
          return false;
        }
        called = *had;
      }
      const bool ours = runner_.run(thread, s, called);
      if (!reclaim(lead, lent, thread)) {
        runner_.finish_late(thread, s, called, ours);
        return false;
      }
      IOTAX_CHECK(ours);  // only a leader takes sessions away, or the watch on its behalf
      if (stop_.is_finished()) return false;  // the child of a fork returned here
      dispatch_.record_quick_call();
      if (s.link.write_wanted)
        overdue_.deliver_mail(lead);  // `s` is returned next: no mail may refer to it
      requests.advance_pipelined(lead, s);
      if (loop_.ready().empty()) break;
      const core::Instant now = sys_.now();
      if (first == core::Instant{}) first = called;
      if (now - first > tuning_.flush_after ||
          (runner_.any_late() && now - called > tuning_.busy_after)) {
        // Pipelined requests wait for the others now.
        if (loop_.ready().front() == &s) loop_.ready().push(loop_.ready().pop());
        lock.release_unless_credit();
        loop_.flush(lead);
        first = {};
      }
      called = now;
    }
    return true;
  }

  /// From here on the spare may take over the lead, including the leader's queue and unsent
  /// responses.
  [[nodiscard]] LeftLead lend(Lead&& lead, AppThreadState<E>& thread) {
    LeftLead lent = leadership_.lend(std::move(lead), thread.number);
    thread.lent = lent.word();
    spare_.watch();
    return lent;
  }
  /// False: the spare has taken over, and this thread must not use the loop.
  [[nodiscard]] bool reclaim(Lead& lead, const LeftLead& lent,
                             const AppThreadState<E>& thread) noexcept {
    std::optional<Lead> back = leadership_.reclaim(lent, thread.number);
    if (back) lead = std::move(*back);
    return back.has_value();
  }

  typename E::Sys& sys_;
  Application& application_;
  const LeadTuning& tuning_;
  StateMutex<E>& mutex_;
  Loop<E>& loop_;
  AppThreads<E>& threads_;
  Leadership<E>& leadership_;
  SpareSignal<E>& spare_;
  Mailbox<E>& mailbox_;
  Dispatch<E>& dispatch_;
  Overdue<E>& overdue_;
  CallRunner<E>& runner_;
  StopState<E>& stop_;
  WorkerEntry& entry_;
  // For the leader.
  bool process_ended_ = false;  // end_process() was called
  bool poll_again_ = false;     // the last poll returned several events: poll again before waiting
};

}  // namespace iotax::driver
