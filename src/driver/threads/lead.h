// The lead: one atomic word that says which thread owns the loop. Its states and transitions, and
// the bookkeeping of the threads around it. It must not know sessions or the network; worker.h
// moves the lead, this page says what a move means.
//
//             lend                     take-over, 1-2 ms later
//   held(T) ────────▶ lent(T) ───────────────────────────────▶ held(S)
//      ▲ ◀── back ────────┘                                     │   ▲
//      │                                                  park  ▼   │ poll() returned
//      ├──── a late T takes it: no wake-up, no waiting ─────── parked(S)
//      └──── grant to an idle application thread ───────────── held(S)
//
//   T is an application thread, S the spare; "mutex": with BasicWorker's mutex held.
//
//   held(T) -> lent(T)     T: store, seq_cst, before the interpreter is entered. Publishes the
//                          loop for a taker; ordered before the load of the spare's state (pairs
//                          with the spare going to sleep: one of the two sees the other).
//   lent(T) -> held(T)     T: CAS, acq_rel. Fails only after a take-over.
//   lent(T) -> held(S)     S: CAS, acquire, mutex. Sees the loop as T left it. A T whose CAS
//                          failed locks and unlocks the mutex once before it touches its
//                          session: the taker's flush is over then.
//   held(S) -> held(T)     S: store, release, mutex, then T's wake word: the grant.
//   held(S) -> parked(S)   S: store, seq_cst, mutex, with "no idle thread, no mail" checked under
//                          the same mutex.
//   parked(S) -> held(S)   S: CAS, acquire, after poll().
//   parked(S) -> held(T)   T: CAS, mutex. Whoever loses walks away with nothing in hand.
//
// Every lend carries a new sequence number, so a value never comes back and there is no ABA.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/instant.h"

namespace iotax::driver {

using namespace std::chrono_literals;

enum class LeadState : std::uint8_t { held, lent, parked };

/// seq (48 bits) | holder (12 bits) | state (4 bits)
class LeadWord {
 public:
  static constexpr unsigned kSpare = 0xfff;

  constexpr LeadWord() = default;
  constexpr LeadWord(std::uint64_t sequence, unsigned holder, LeadState state) noexcept
      : raw_(sequence << 16 | std::uint64_t{holder} << 4 | static_cast<std::uint64_t>(state)) {}

  [[nodiscard]] constexpr std::uint64_t sequence() const noexcept { return raw_ >> 16; }
  [[nodiscard]] constexpr unsigned holder() const noexcept { return raw_ >> 4 & 0xfff; }
  [[nodiscard]] constexpr LeadState state() const noexcept {
    return static_cast<LeadState>(raw_ & 0xf);
  }
  /// The word after this one, with a sequence number of its own.
  [[nodiscard]] constexpr LeadWord next(unsigned holder, LeadState state) const noexcept {
    return {sequence() + 1, holder, state};
  }
  friend constexpr bool operator==(LeadWord, LeadWord) = default;

 private:
  std::uint64_t raw_ = 0;
};
static_assert(std::atomic<LeadWord>::is_always_lock_free);

/// What a lender has to do to have somebody watch it. Also the spare's futex word.
enum SpareState : std::uint32_t {
  kWatch,   // sleeps one tick at a time: nothing to do
  kAsleep,  // sleeps without a time-out: wake it
  kPoll,    // sits in poll(), parked or just overtaken: kick it
  kNow,  // take the lead at once if it is lent: the application is about to block inside the server
};

/// What an application thread is woken for; bits of its wake word.
enum WakeBits : std::uint32_t {
  kWakeRequest = 1,  // a request waits in the queue
  kWakeLead = 2,     // the lead was granted
  kWakeExit = 4,     // the worker has stopped
  kWakeSignals = 8,  // thread 0: run signal handlers, then go back to sleep
};

/// Where a thread stands with the application lock. Hints for the spare only: a wrong one costs a
/// millisecond, never correctness.
enum class AppLockState : std::uint8_t { out, waiting, has };

/// The numbers of the lead, measured on a sketch before this was written; each is a trade that a
/// comment names.
struct LeadTuning {
  core::Duration tick = 1ms;  // of the watch; a call that outlasts one to two ticks loses the lead
  core::Duration slow = 1ms;  // a call longer than this counts as slow
  core::Duration flush_after = 200us;  // from the first unsent answer of a turn
  core::Duration busy_after =
      100us;  // a call longer than this ends the turn's calls while a late thread exists
  core::Duration long_wait =
      500us;  // waiting longer than this for the interpreter earns a credit of the same length
  core::Duration patience = 100us;  // how long an empty poll waits while such a credit lasts
  core::Duration slice = 100us;     // asked for the spare (Linux 6.12 and later)
  unsigned quiet_ticks = 10;        // without a new lend, then the watch goes to sleep
};

/// The share of calls that were slow lately: a moving average over 256 calls. Decides between
/// inline calls and direct dispatch: an isolated slow call stalls everybody for a tick, a hand-over
/// costs microseconds, so they break even below 1 %.
class SlowShare {
 public:
  void slow() noexcept {
    const std::uint32_t s = share_.load(std::memory_order_relaxed);
    share_.store(s + ((kAll - s) >> 8), std::memory_order_relaxed);
  }
  void quick() noexcept {
    const std::uint32_t s = share_.load(std::memory_order_relaxed);
    if (s != 0) share_.store(s - ((s + 255) >> 8), std::memory_order_relaxed);
  }
  [[nodiscard]] bool high() const noexcept {
    return share_.load(std::memory_order_relaxed) > kAll / 50;  // 2 %
  }
  [[nodiscard]] bool low() const noexcept {
    return share_.load(std::memory_order_relaxed) < kAll / 200;  // 0.5 %
  }

 private:
  static constexpr std::uint32_t kAll = 65536;
  std::atomic<std::uint32_t> share_{
      0};  // written with the interpreter entered, read anywhere as a hint
};

}  // namespace iotax::driver
