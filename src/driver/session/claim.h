// Who may touch the session of a call: the thread that runs it, or whoever takes it away because
// the call is overdue. One word says it, so that there is never a moment with two owners or none.
//
//   begin            enter               take
//   none ──▶ app ◀────────▶ inside   app ─────▶ taken
//            │      leave                        │
//            └────────── end ──▶ none ◀──────────┘
//
//   app     the application runs; its time is measured
//   inside  it is inside a call of the exchange: the session is the thread's, nobody can take it
//   taken   whatever the thread still calls does nothing; it gives no session back
//
// Every way into `app` makes a new word, so what was looked at is what is taken. The thread's moves
// release, looking and taking acquire: a taker sees the session as the thread left it.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/instant.h"
#include "driver/env.h"

namespace iotax::driver {

/// call (32 bits) | step of it (30 bits) | state (2 bits)
using ClaimWord = std::uint64_t;

enum class ClaimState : std::uint8_t { none, app, inside, taken };

constexpr ClaimState state_of(ClaimWord word) noexcept { return static_cast<ClaimState>(word & 3); }
constexpr std::uint64_t call_of(ClaimWord word) noexcept { return word >> 32; }

template <Env E>
class Claim {
 public:
  // ---- by the thread that runs the call
  void begin(core::Instant now) noexcept {
    since_.store(now, std::memory_order_relaxed);
    const ClaimWord word = word_.load(std::memory_order_relaxed);
    word_.store((call_of(word) + 1) << 32 | bits(ClaimState::app), std::memory_order_release);
  }
  /// False: taken.
  [[nodiscard]] bool enter() noexcept {
    ClaimWord word = word_.load(std::memory_order_relaxed);
    return state_of(word) == ClaimState::app &&
           word_.compare_exchange_strong(word, with(word, ClaimState::inside),
                                         std::memory_order_acq_rel);
  }
  void leave(core::Instant now) noexcept {
    since_.store(now, std::memory_order_relaxed);
    const ClaimWord word = word_.load(std::memory_order_relaxed) + kStep;
    word_.store(with(word, ClaimState::app), std::memory_order_release);
  }
  /// False: it was taken.
  [[nodiscard]] bool end() noexcept {
    ClaimWord word = word_.load(std::memory_order_relaxed);
    const bool ours = state_of(word) == ClaimState::app &&
                      word_.compare_exchange_strong(word, with(word, ClaimState::none),
                                                    std::memory_order_acq_rel);
    if (!ours) word_.store(with(word, ClaimState::none), std::memory_order_release);
    return ours;
  }

  // ---- by anybody
  [[nodiscard]] ClaimWord word() const noexcept { return word_.load(std::memory_order_acquire); }
  /// Since when the application has had the thread, if `word()` was asked before.
  [[nodiscard]] core::Instant since() const noexcept {
    return since_.load(std::memory_order_relaxed);
  }
  /// False: the call has moved on since word().
  [[nodiscard]] bool take(ClaimWord seen) noexcept {
    return state_of(seen) == ClaimState::app &&
           word_.compare_exchange_strong(seen, with(seen, ClaimState::taken),
                                         std::memory_order_acq_rel);
  }
  [[nodiscard]] bool taken(ClaimWord seen) const noexcept {
    return word() == with(seen, ClaimState::taken);
  }

 private:
  static constexpr ClaimWord kStep = 4;
  static constexpr ClaimWord bits(ClaimState state) noexcept {
    return static_cast<ClaimWord>(state);
  }
  static constexpr ClaimWord with(ClaimWord word, ClaimState state) noexcept {
    return (word & ~ClaimWord{3}) | bits(state);
  }

  Atomic<E, ClaimWord> word_{0};
  Atomic<E, core::Instant> since_{core::Instant{}};
};

}  // namespace iotax::driver
