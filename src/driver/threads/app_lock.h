// One thread's use of the lock that the application needs (Application::enter). Decides how long
// the thread keeps it between calls. It must not know requests or the lead.
#pragma once

#include <cstdint>

#include "core/instant.h"
#include "driver/application.h"
#include "driver/env.h"
#include "driver/loop/loop_clock.h"
#include "driver/loop/thread_times.h"
#include "driver/threads/tuning.h"

namespace iotax::driver {

/// How a thread uses the lock. A hint for the spare only: a wrong one costs a millisecond, never
/// correctness.
enum class LockUse : std::uint8_t { out, waiting, held };

/// One per thread, for that thread only, except use().
template <Env E>
class AppLock {
 public:
  using Sys = typename E::Sys;

  /// All are borrowed. `times`: where the waits are published; null: nowhere.
  AppLock(Sys& sys, Application& application, LoopClock<E>& clock, const LeadTuning& tuning,
          unsigned thread, ThreadTimes* times) noexcept
      : sys_(sys),
        application_(application),
        clock_(clock),
        tuning_(tuning),
        thread_(thread),
        times_(times) {}

  /// Acquire the lock for one or more calls. A thread that waited long for it may keep it as long:
  /// an equal share next to a thread that computes. Returns when it was acquired, since waiting for
  /// it does not count as time of the call.
  core::Instant acquire() {
    const core::Instant asked = clock_.noticed_now();
    if (times_ != nullptr) times_->lock_wait.begin(asked);
    wait_for_it();
    held_ = true;
    const core::Instant had = clock_.noticed_now();
    if (times_ != nullptr) times_->lock_wait.end(had);
    const core::Duration waited = had - asked;
    credit_until_ = waited > tuning_.long_wait ? had + waited : core::Instant{};
    return had;
  }
  void release() {
    if (!held_) return;
    held_ = false;
    credit_until_ = {};
    give_it_up();
  }
  void release_unless_credit() {
    if (held_ && !has_credit()) release();
  }

  [[nodiscard]] bool held() const noexcept { return held_; }
  [[nodiscard]] bool has_credit() const {
    return credit_until_ != core::Instant{} && sys_.now() < credit_until_;
  }

  /// Releases the lock during its lifetime, while a call of the application waits or works inside
  /// the server.
  class Released {
   public:
    explicit Released(AppLock& lock) : lock_(lock) { lock_.give_it_up(); }
    ~Released() { lock_.wait_again(); }
    Released(const Released&) = delete;

   private:
    AppLock& lock_;
  };

  // ---- the hint
  [[nodiscard]] LockUse use() const noexcept { return use_.load(std::memory_order_relaxed); }
  /// Publish that the thread will acquire the lock, or will not for a while.
  void announce(LockUse use) noexcept { use_.store(use, std::memory_order_relaxed); }

 private:
  void wait_for_it() {
    announce(LockUse::waiting);
    application_.enter(thread_);
    announce(LockUse::held);
  }
  void wait_again() {
    if (times_ == nullptr) return wait_for_it();
    times_->lock_wait.begin(sys_.now());
    wait_for_it();
    times_->lock_wait.end(sys_.now());
  }
  void give_it_up() {
    announce(LockUse::out);
    application_.leave(thread_);
  }

  Sys& sys_;
  Application& application_;
  LoopClock<E>& clock_;
  const LeadTuning& tuning_;
  const unsigned thread_;
  ThreadTimes* const times_;
  Atomic<E, LockUse> use_{LockUse::out};
  bool held_ = false;
  core::Instant credit_until_{};  // this thread's share of the lock after a long wait for it
};

}  // namespace iotax::driver
