// The life of an application thread: it claims or is granted the lead, runs requests of the queue,
// or sleeps. It must not know what a request is.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "driver/env.h"
#include "driver/proof.h"
#include "driver/session/session.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/call_runner.h"
#include "driver/threads/dispatch.h"
#include "driver/threads/leader.h"
#include "driver/threads/leadership.h"
#include "driver/threads/overdue.h"
#include "driver/threads/stop_state.h"
#include "driver/threads/tuning.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

template <Env E>
class AppThread {
 public:
  /// All are borrowed. `thread`: its number.
  AppThread(WorkerBase<E>& base, AppThreads<E>& threads, Dispatch<E>& dispatch, Overdue<E>& overdue,
            CallRunner<E>& runner, Leader<E>& leader, unsigned thread) noexcept
      : sys_(base.sys),
        tuning_(base.tuning),
        mutex_(base.mutex),
        threads_(threads),
        leadership_(base.leadership),
        dispatch_(dispatch),
        overdue_(overdue),
        runner_(runner),
        leader_(leader),
        stop_(base.stop),
        thread_(thread),
        state_(threads[thread]) {}

  /// Run until the worker has stopped, or another thread has replaced this one.
  void run() {
    while (!stop_.is_finished()) {
      Next next = mutex_.with_lock([&](const Locked& locked) { return choose(locked); });
      if (next.ends) break;
      if (next.lead) {
        leader_.run(std::move(*next.lead), state_);
      } else if (next.queued != nullptr) {
        runner_.run_queued(state_, *next.queued);
      } else if (sleep(next.keeps_lock)) {
        leader_.run(leadership_.granted(thread_), state_);
      }
    }
    state_.lock.release();
  }

 private:
  struct Next {
    bool ends = false;
    std::optional<Lead> lead;
    Session<E>* queued = nullptr;
    bool keeps_lock = false;  // during sleep(): the lead may be granted soon
  };

  [[nodiscard]] Next choose(const Locked& locked) {
    Next next;
    if (threads_.loss(thread_, locked) != Loss::none &&
        !overdue_.thread_returned(thread_, locked)) {
      next.ends = true;
      return next;
    }
    dispatch_.end_direct_if_quick(locked);
    const LeadWord seen = leadership_.word();
    const bool may_take =
        dispatch_.has_queued(locked) && (dispatch_.direct() || seen.holder() != LeadWord::kSpare);
    if (!may_take) dispatch_.arrived(state_, locked);
    if (stop_.is_finished()) {
      next.ends = true;
      return next;
    }
    if (!may_take) dispatch_.one_is_free(locked);
    if (!dispatch_.direct()) {
      next.lead = leadership_.claim_parked(seen, thread_, locked);
      if (next.lead) return next;
    }
    if (may_take) {
      next.queued = &dispatch_.pop(locked);
      return next;
    }
    state_.lock.announce(LockUse::out);
    state_.wake.fetch_and(kWakeSignals, std::memory_order_relaxed);
    dispatch_.push_idle(thread_, locked);
    next.keeps_lock = state_.lock.held() && !dispatch_.direct();
    return next;
  }

  /// Sleep until woken. True: the lead was granted.
  [[nodiscard]] bool sleep(bool keeps_lock) {
    const auto woken = [&] { return state_.wake.load(std::memory_order_acquire); };
    if (keeps_lock && state_.lock.has_credit() && woken() == 0) {
      sys_.futex_wait(state_.wake, 0, 2 * tuning_.patience);
    }
    std::uint32_t bits = woken();
    while ((bits & ~kWakeSignals) == 0) {
      if ((bits & kWakeSignals) != 0) {
        state_.wake.fetch_and(~std::uint32_t{kWakeSignals}, std::memory_order_relaxed);
        runner_.run_signal_handlers();
      } else {
        state_.lock.release();
        sys_.futex_wait(state_.wake, 0, kForever);
      }
      bits = woken();
    }
    state_.incoming = (bits & kWakeRequest) != 0;
    return (bits & kWakeLead) != 0;
  }

  typename E::Sys& sys_;
  const LeadTuning& tuning_;
  StateMutex<E>& mutex_;
  AppThreads<E>& threads_;
  Leadership<E>& leadership_;
  Dispatch<E>& dispatch_;
  Overdue<E>& overdue_;
  CallRunner<E>& runner_;
  Leader<E>& leader_;
  const StopState<E>& stop_;
  const unsigned thread_;
  AppThreadState<E>& state_;
};

}  // namespace iotax::driver
