// Decides who may use the session of a call: the thread that runs it, or a taker that takes the
// session away because the call is overdue. One atomic word holds the state, so the session has
// exactly one owner at any moment.
//
//   begin            enter               take
//   none ──▶ app ◀────────▶ inside   app ─────▶ taken
//            │      leave                        │
//            └────────── end ──▶ none ◀──────────┘
//
//   app     the application runs; its time is measured
//   inside  the thread is in a call of the exchange and owns the session; take() fails
//   taken   further calls of the thread have no effect; it does not return the session
//
// Each transition into `app` makes a new word, so take() succeeds only if nothing has changed since
// word(). The thread's moves release, word() and take() acquire: a taker sees the session as the
// thread left it.
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
  /// False: the session was taken.
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
  /// False: the session was taken.
  [[nodiscard]] bool end() noexcept {
    ClaimWord word = word_.load(std::memory_order_relaxed);
    const bool ours = state_of(word) == ClaimState::app &&
                      word_.compare_exchange_strong(word, with(word, ClaimState::none),
                                                    std::memory_order_acq_rel);
    if (!ours) word_.store(with(word, ClaimState::none), std::memory_order_release);
    return ours;
  }

  // ---- by any thread
  [[nodiscard]] ClaimWord word() const noexcept { return word_.load(std::memory_order_acquire); }
  /// When the application last got control; call word() first.
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
