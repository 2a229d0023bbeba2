// The state of a worker's application threads that others see, and how many of them are usable. It
// must not know what they run.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/check.h"
#include "driver/application.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/loop/loop_clock.h"
#include "driver/loop/thread_times.h"
#include "driver/proof.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/session/exchange.h"
#include "driver/session/session.h"
#include "driver/threads/app_lock.h"
#include "driver/threads/leadership.h"
#include "driver/threads/offer.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

template <Env E>
class BlockingIo;

/// Why a thread is woken; bits of its wake word.
enum WakeBits : std::uint32_t {
  kWakeRequest = 1,  // a request waits in the queue
  kWakeLead = 2,     // the lead was granted
  kWakeExit = 4,     // the worker has stopped
  kWakeSignals = 8,  // thread 0: run signal handlers, then go back to sleep
};

/// State of a thread that did not return from an overdue call in time.
enum class Loss : std::uint8_t { none, lost, replaced };

template <Env E>
struct alignas(64) AppThreadState {
  using Exchange = SessionExchange<E, BlockingIo<E>>;

  AppThreadState(typename E::Sys& sys, Application& application, LoopClock<E>& clock,
                 const LeadTuning& tuning, BlockingIo<E>& io, unsigned thread, CallEntry& entry,
                 ThreadTimes* its_times)
      : number(thread),
        call(entry),
        times(its_times),
        lock(sys, application, clock, tuning, thread, its_times),
        exchange(io, thread) {}

  const unsigned number;
  CallEntry& call;
  ThreadTimes* const times;          // null without an admin listener
  Atomic<E, std::uint32_t> wake{0};  // WakeBits
  AppLock<E> lock;
  bool incoming = false;                   // woken for the queue, waits for the lock
  LeadWord lent;                           // result of its last lend()
  std::atomic<std::uint64_t> requests{0};  // written by this thread only
  Offer<E, Session<E>> offer;              // used only with deadlines
  Exchange exchange;
};

template <Env E>
class AppThreads {
 public:
  using State = AppThreadState<E>;

  /// Makes more than `config.threads`, as replacements of lost threads.
  AppThreads(WorkerBase<E>& base, BlockingIo<E>& io)
      : sys_(base.sys),
        gauges_(base.slot.gauges()),
        configured_(base.config.threads),
        present_(base.config.threads) {
    const unsigned most = Scoreboard::calls_of(base.config.threads);
    for (unsigned thread = 0; thread < most; ++thread) {
      states_.push_back(std::make_unique<State>(
          base.sys, base.application, base.loop.clock(), base.tuning, io, thread,
          base.slot.scoreboard.call(base.slot.number, thread), base.loop.report().times(thread)));
    }
    losses_.resize(most, Loss::none);
  }

  /// The maximum number of threads.
  [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(states_.size()); }
  [[nodiscard]] State& operator[](unsigned thread) noexcept { return *states_[thread]; }
  [[nodiscard]] const State& operator[](unsigned thread) const noexcept { return *states_[thread]; }

  // ---- waking a thread

  /// Record why `thread` will be woken.
  void mark(unsigned thread, WakeBits bits) noexcept {
    states_[thread]->wake.fetch_or(bits, std::memory_order_release);
  }
  /// Call it after mark(), without the mutex.
  void wake(unsigned thread) { sys_.futex_wake(states_[thread]->wake, 1); }
  void wake(std::optional<unsigned> thread) {
    if (thread) wake(*thread);
  }

  // ---- lost threads

  /// The number of started threads, including lost ones.
  [[nodiscard]] unsigned present(const Locked& /*locked*/) const noexcept { return present_; }
  [[nodiscard]] bool all_lost(const Locked& /*locked*/) const noexcept { return lost_ == present_; }
  /// Whether so many are lost that the worker must be replaced.
  [[nodiscard]] bool half_lost(const Locked& /*locked*/) const noexcept {
    return lost_ * 2 >= configured_;
  }
  [[nodiscard]] Loss loss(unsigned thread, const Locked& /*locked*/) const noexcept {
    return losses_[thread];
  }
  /// `thread` did not return in time. Returns the number of the thread to start as its replacement;
  /// empty if it is the only one, or if half of them have been replaced.
  [[nodiscard]] std::optional<unsigned> lose(unsigned thread, const Locked& /*locked*/) noexcept {
    count_lost(1);
    losses_[thread] = Loss::lost;
    if (configured_ == 1 || present_ == size()) return std::nullopt;
    losses_[thread] = Loss::replaced;
    return present_++;
  }
  /// The replacement of `lost` could not be started: if `lost` returns, it continues.
  void replacement_failed(unsigned lost, unsigned replacement, const Locked& /*locked*/) noexcept {
    if (losses_[lost] == Loss::replaced) losses_[lost] = Loss::lost;
    losses_[replacement] = Loss::lost;
    count_lost(1);
  }
  /// A lost thread has returned. False: it has been replaced and may end. Thread 0 stays, since it
  /// runs signal handlers.
  [[nodiscard]] bool come_back(unsigned thread, const Locked& /*locked*/) noexcept {
    count_lost(-1);
    return std::exchange(losses_[thread], Loss::none) != Loss::replaced || thread == 0;
  }

 private:
  void count_lost(int more) noexcept {
    lost_ += static_cast<unsigned>(more);
    if (gauges_ != nullptr) gauges_->threads_lost.set(lost_);
  }

  typename E::Sys& sys_;
  WorkerGauges* const gauges_;  // null: the server has no admin listener
  const unsigned configured_;
  std::vector<std::unique_ptr<State>> states_;
  std::vector<Loss> losses_;
  unsigned present_;
  unsigned lost_ = 0;
};

}  // namespace iotax::driver
