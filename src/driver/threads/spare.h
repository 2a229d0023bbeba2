// The spare thread: watches calls for which the lead was lent, takes over the lead when a call
// lasts long, and leads until an application thread can. It never calls the application.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <utility>

#include "driver/env.h"
#include "driver/loop/loop.h"
#include "driver/proof.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/dispatch.h"
#include "driver/threads/leader.h"
#include "driver/threads/leadership.h"
#include "driver/threads/mailbox.h"
#include "driver/threads/overdue.h"
#include "driver/threads/spare_signal.h"
#include "driver/threads/stop_state.h"
#include "driver/threads/tuning.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

template <Env E>
class Spare {
 public:
  /// All are borrowed.
  Spare(WorkerBase<E>& base, AppThreads<E>& threads, Dispatch<E>& dispatch, Overdue<E>& overdue,
        Leader<E>& leader) noexcept
      : sys_(base.sys),
        tuning_(base.tuning),
        mutex_(base.mutex),
        loop_(base.loop),
        threads_(threads),
        leadership_(base.leadership),
        signal_(base.spare_signal),
        mailbox_(base.mailbox),
        dispatch_(dispatch),
        overdue_(overdue),
        leader_(leader),
        stop_(base.stop),
        entry_(base.entry()) {}

  /// Watch while the lead is being lent, otherwise sleep. Runs until the worker has stopped.
  void run() {
    (void)sys_.set_slice(tuning_.slice);
    unsigned quiet = 0;
    LeadWord last{};
    while (!stop_.is_finished()) {
      const bool asked = signal_.wait_tick(tuning_.tick);
      const LeadWord seen = leadership_.word();
      if (seen.state() == LeadState::lent && (seen == last || asked)) {
        take_over(seen);
        quiet = 0;
        last = {};
        continue;
      }
      quiet = seen == last ? quiet + 1 : 0;
      last = seen;
      if (quiet > tuning_.quiet_ticks && seen.state() != LeadState::lent && sleep()) {
        quiet = 0;
        last = {};
      }
    }
  }

 private:
  /// Result of pass_on(): which thread to wake without the mutex, and whether it is granted the
  /// lead.
  struct PassedOn {
    bool granted = false;
    std::optional<unsigned> woken;
  };

  bool sleep() {
    return signal_.sleep([&] {
      if (leadership_.word().state() == LeadState::lent) return true;
      return stop_.is_finished();
    });
  }

  /// The call for which the lead was lent as `seen` lasts too long: take the lead, send complete
  /// responses, and find a thread to lead.
  void take_over(LeadWord seen) {
    std::optional<Lead> lead;
    PassedOn passed;
    mutex_.with_lock([&](const Locked& locked) {
      lead = leadership_.take_over(seen, locked);
      if (!lead) return;
      mailbox_.end_wait();
      loop_.clock().read();
      loop_.flush(*lead);  // of the session in the call only responses that were complete before
                           // it: its thread writes the rest
      dispatch_.begin_direct_if_slow(locked);
      taken_from_ = seen.holder();
      held_since_ = {};
      taken_from_waits_ = threads_[taken_from_].lock.use() == LockUse::waiting;
      passed = pass_on(*lead, locked);
    });
    if (!lead) return;
    threads_.wake(passed.woken);
    if (passed.granted) return;
    overdue_.check(*lead);
    lead_until_passed(std::move(*lead));
  }

  void lead_until_passed(Lead lead) {
    typename Leader<E>::Events events;
    for (;;) {
      Result<std::size_t> n = loop_.poll(lead, events, core::Duration::zero());
      if ((!n || *n == 0) && !mailbox_.any()) {
        if (!wait_for_events(lead)) return;
        n = loop_.poll(lead, events, core::Duration::zero());
      }
      entry_.turn();
      loop_.process(lead, std::span(events).first(n ? *n : 0));
      (void)leader_.apply_requests(lead, LeadWord::kSpare);
      loop_.flush(lead);
      if (leader_.end_if_stopped(lead)) return;
      const PassedOn passed =
          mutex_.with_lock([&](const Locked& locked) { return pass_on(lead, locked); });
      threads_.wake(passed.woken);
      if (passed.granted) return;
    }
  }

  /// Grant the lead to an idle application thread, or queue the ready requests.
  [[nodiscard]] PassedOn pass_on(Lead& lead, const Locked& locked) {
    dispatch_.end_direct_if_quick(locked);
    const bool idle = dispatch_.idle(locked) != 0;
    const bool contended = idle && app_lock_contended();
    if (!dispatch_.direct() && idle && !contended) {
      const unsigned thread = dispatch_.pop_idle(locked);
      leadership_.grant(std::move(lead), thread, locked);
      threads_.mark(thread, kWakeLead);
      return {true, thread};
    }
    dispatch_.enqueue_ready(lead, locked, overdue_.is_stuck());
    dispatch_.warn_if_busy(lead, locked);
    if (!dispatch_.direct() || contended) return {};
    return {false, dispatch_.wake_one(locked)};
  }

  /// Wait for events with the lead parked, so that a late thread may claim it. False: a thread has
  /// claimed it, or was granted it.
  [[nodiscard]] bool wait_for_events(Lead& lead) {
    struct Wait {
      typename E::Poller::Parking view;
      core::Duration timeout;
      LeftLead parked;
    };
    std::optional<Wait> wait;
    PassedOn passed;
    mutex_.with_lock([&](const Locked& locked) {
      dispatch_.end_direct_if_quick(locked);
      const bool wanted =
          dispatch_.idle(locked) != 0 && (!dispatch_.direct() || dispatch_.has_queued(locked));
      const bool contended = wanted && app_lock_contended();
      if (wanted && !contended) {
        if (!dispatch_.direct()) {
          passed = pass_on(lead, locked);
          return;
        }
        passed.woken = dispatch_.wake_one(locked);
        if (passed.woken) return;
      }
      if (mailbox_.any()) return;
      overdue_.set_timer(lead, locked, 0);
      auto view = loop_.park_view();
      const core::Duration timeout = contended ? tuning_.tick : loop_.patience();
      signal_.begin_poll();
      (void)mailbox_.begin_wait();
      wait = Wait{std::move(view), timeout, leadership_.park(std::move(lead), locked)};
    });
    threads_.wake(passed.woken);
    if (!wait) return !passed.granted;
    const Result<Parked> parked = loop_.park(wait->view, signal_.kicks(), wait->timeout);
    std::optional<Lead> back = leadership_.unpark(wait->parked);
    if (!back || (parked && parked->kicked)) signal_.read_kicks();
    if (!back) return false;  // only the new leader may say whether it waits
    mailbox_.end_wait();
    lead = std::move(*back);
    return true;
  }

  /// Whether a thread that waits for the application lock will return for all ready requests. A
  /// second one would only make the queue for the lock longer, and a third can starve next to a
  /// thread that computes. The thread that lost the lead counts as long as its call is not slow.
  [[nodiscard]] bool app_lock_contended() {
    for (unsigned thread = 0; thread < threads_.size(); ++thread) {
      if (threads_[thread].lock.use() == LockUse::waiting) return true;
    }
    if (!taken_from_waits_) return false;
    if (threads_[taken_from_].lock.use() == LockUse::held) {
      const core::Instant now = sys_.now();
      if (held_since_ == core::Instant{}) held_since_ = now;
      if (now - held_since_ < tuning_.slow) return true;
    }
    taken_from_waits_ = false;
    return false;
  }

  typename E::Sys& sys_;
  const LeadTuning& tuning_;
  StateMutex<E>& mutex_;
  Loop<E>& loop_;
  AppThreads<E>& threads_;
  Leadership<E>& leadership_;
  SpareSignal<E>& signal_;
  Mailbox<E>& mailbox_;
  Dispatch<E>& dispatch_;
  Overdue<E>& overdue_;
  Leader<E>& leader_;
  const StopState<E>& stop_;
  WorkerEntry& entry_;
  unsigned taken_from_ = 0;        // the thread that last lost the lead
  bool taken_from_waits_ = false;  // it was waiting for the application lock
  core::Instant held_since_{};     // since when it was seen to hold the lock
};

}  // namespace iotax::driver
