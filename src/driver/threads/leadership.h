// The lead: one atomic word says which thread runs the loop. Each transition is a function here,
// and its parameters prove that the caller may make it. It must not know sessions, the network or
// the threads.
//
//             lend                  take_over, 1-2 ms later
//   held(T) ────────▶ lent(T) ───────────────────────────────▶ held(S)
//      ▲ ◀─ reclaim ──────┘                                     │   ▲
//      │                                                  park  ▼   │ unpark
//      ├──── claim_parked: no wake-up, no waiting ──────────── parked(S)
//      └──── grant to an idle application thread ───────────── held(S)
//
//   T is an application thread, S the spare thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/check.h"
#include "driver/env.h"
#include "driver/proof.h"

namespace iotax::driver {

enum class LeadState : std::uint8_t { held, lent, parked };

/// seq (48 bits), holder (12 bits), state (4 bits). Every lend has a new sequence number, so a
/// value never repeats and there is no ABA problem.
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
  /// The next word, with a new sequence number.
  [[nodiscard]] constexpr LeadWord next(unsigned holder, LeadState state) const noexcept {
    return {sequence() + 1, holder, state};
  }
  friend constexpr bool operator==(LeadWord, LeadWord) = default;

 private:
  std::uint64_t raw_ = 0;
};
static_assert(std::atomic<LeadWord>::is_always_lock_free);

/// A lead that its owner has lent or parked, and can reclaim once.
class LeftLead {
 public:
  LeftLead(LeftLead&&) = default;
  LeftLead& operator=(LeftLead&&) = default;
  [[nodiscard]] LeadWord word() const noexcept { return word_; }

 private:
  explicit LeftLead(LeadWord word) noexcept : word_(word) {}
  template <Env E>
  friend class Leadership;

  LeadWord word_;
};

/// The word; only this class creates a Lead.
template <Env E>
class Leadership {
 public:
  /// `thread` leads first.
  [[nodiscard]] Lead begin(unsigned thread) noexcept {
    word_.store(LeadWord{1, thread, LeadState::held}, std::memory_order_relaxed);
    return Lead{};
  }
  /// Call it after the last thread has ended.
  [[nodiscard]] Lead end() noexcept { return Lead{}; }

  [[nodiscard]] LeadWord word() const noexcept { return word_.load(); }

  // ---- by an application thread

  /// held(T) to lent(T), before a call: the spare may take over. Publishes the loop for it. Ordered
  /// before the load of the spare's state (which pairs with the spare falling asleep: one of the
  /// two sees the other).
  [[nodiscard]] LeftLead lend(Lead&& /*lead*/, unsigned thread) noexcept {
    const LeadWord lent = word_.load(std::memory_order_relaxed).next(thread, LeadState::lent);
    word_.store(lent);
    return LeftLead(lent);
  }
  /// lent(T) to held(T). Empty: the spare has taken over. Then lock and unlock the mutex once
  /// before touching the session of the call: the new leader has sent its earlier output by then.
  [[nodiscard]] std::optional<Lead> reclaim(const LeftLead& lent, unsigned thread) noexcept {
    LeadWord expected = lent.word();
    const LeadWord held{expected.sequence(), thread, LeadState::held};
    if (!word_.compare_exchange_strong(expected, held, std::memory_order_acq_rel)) {
      return std::nullopt;
    }
    return Lead{};
  }
  /// parked(S) to held(T), if the word is still `seen`. Empty: another thread won the race.
  [[nodiscard]] std::optional<Lead> claim_parked(LeadWord seen, unsigned thread,
                                                 const Locked& /*locked*/) noexcept {
    if (seen.state() != LeadState::parked) return std::nullopt;
    const LeadWord held = seen.next(thread, LeadState::held);
    if (!word_.compare_exchange_strong(seen, held)) return std::nullopt;
    return Lead{};
  }
  /// The lead that was granted to `thread`, which has woken up.
  [[nodiscard]] Lead granted(unsigned thread) const noexcept {
    const LeadWord word = word_.load(std::memory_order_relaxed);
    IOTAX_CHECK(word.holder() == thread && word.state() == LeadState::held);
    return Lead{};
  }

  // ---- by the spare

  /// lent(T) to held(S), if the word is still `seen`. Acquires the state of the loop that T
  /// published.
  [[nodiscard]] std::optional<Lead> take_over(LeadWord seen, const Locked& /*locked*/) noexcept {
    const LeadWord held = seen.next(LeadWord::kSpare, LeadState::held);
    if (!word_.compare_exchange_strong(seen, held, std::memory_order_acquire)) return std::nullopt;
    return Lead{};
  }
  /// held(S) to held(T), before T is woken.
  void grant(Lead&& /*lead*/, unsigned thread, const Locked& /*locked*/) noexcept {
    word_.store(word_.load(std::memory_order_relaxed).next(thread, LeadState::held),
                std::memory_order_release);
  }
  /// held(S) to parked(S): no thread is idle and there is no mail.
  [[nodiscard]] LeftLead park(Lead&& /*lead*/, const Locked& /*locked*/) noexcept {
    const LeadWord parked =
        word_.load(std::memory_order_relaxed).next(LeadWord::kSpare, LeadState::parked);
    word_.store(parked);
    return LeftLead(parked);
  }
  /// parked(S) to held(S). Empty: an application thread has claimed the lead.
  [[nodiscard]] std::optional<Lead> unpark(const LeftLead& parked) noexcept {
    LeadWord expected = parked.word();
    const LeadWord held = expected.next(LeadWord::kSpare, LeadState::held);
    if (!word_.compare_exchange_strong(expected, held, std::memory_order_acquire)) {
      return std::nullopt;
    }
    return Lead{};
  }

 private:
  Atomic<E, LeadWord> word_{};
};

}  // namespace iotax::driver
