// A request given to a thread that has not called it yet, because the thread waits for the
// application lock. The leader can withdraw it and respond instead: while another call keeps the
// lock, this thread cannot start. It must not know the lock or the response.
//
//   make            accept
//   none ──▶ waiting ─────▶ none   the thread calls the application
//               └─────────▶ none   withdraw: the session is the leader's again
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "core/instant.h"
#include "driver/env.h"

namespace iotax::driver {

/// One per thread. Each make() creates a new word, so withdraw() cannot affect a later offer.
template <Env E, class Session>
class Offer {
 public:
  // ---- by the thread
  void make(Session& s, core::Instant now) noexcept {
    session_.store(&s, std::memory_order_relaxed);
    since_.store(now, std::memory_order_relaxed);
    word_.store(word_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  /// False: it was withdrawn, and the session may not exist any more.
  [[nodiscard]] bool accept() noexcept {
    Word word = word_.load(std::memory_order_relaxed);
    return is_waiting(word) && move_on(word);
  }

  // ---- by the leader
  struct Waiting {
    std::uint64_t word;
    Session* session;
    core::Instant since;
  };
  [[nodiscard]] std::optional<Waiting> look() const noexcept {
    const Word word = word_.load(std::memory_order_acquire);
    if (!is_waiting(word)) return std::nullopt;
    return Waiting{word, session_.load(std::memory_order_relaxed),
                   since_.load(std::memory_order_relaxed)};
  }
  /// False: the thread has moved on since look().
  [[nodiscard]] bool withdraw(const Waiting& seen) noexcept { return move_on(seen.word); }

 private:
  using Word = std::uint64_t;  // odd: waiting
  static constexpr bool is_waiting(Word word) noexcept { return word % 2 != 0; }
  [[nodiscard]] bool move_on(Word word) noexcept {
    return word_.compare_exchange_strong(word, word + 1, std::memory_order_acq_rel);
  }

  Atomic<E, Word> word_{0};
  Atomic<E, Session*> session_{nullptr};
  Atomic<E, core::Instant> since_{core::Instant{}};
};

}  // namespace iotax::driver
