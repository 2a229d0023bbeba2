// A lazy timer wheel: when entries are due, at one store per request. Time is passed in; it must
// not know what is being timed.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/instant.h"

namespace iotax::driver {

/// What is embedded in (or inherited by) the object that waits. Removed from its wheel by the owner
/// before it is destroyed.
class TimerEntry {
 public:
  TimerEntry() = default;
  TimerEntry(const TimerEntry&) = delete;

  /// The real deadline, as given last; kNever when none is set.
  [[nodiscard]] core::Instant deadline() const noexcept { return deadline_; }

 private:
  friend class Timers;
  core::Instant deadline_ = core::kNever;
  std::uint64_t tick_ = 0;  // where it sits, while linked; never later than the deadline's tick
  TimerEntry* next_ = nullptr;
  TimerEntry** link_ = nullptr;  // what points here; null when not linked
};

/// Entries sit in slots of one tick. A deadline that moves later is one store: the entry stays, and
/// moves itself when its slot comes. A slot is swept once, when its tick has ended. So an entry is
/// given out at the first expire() that is at least one tick after its deadline, or a little
/// earlier; never before the deadline. What is due beyond the slots waits in one list, swept when
/// its first entry is due, so that waiting for long wakes nobody before. All instants are at or
/// after Instant{} (a monotonic clock).
class Timers {
 public:
  static constexpr core::Duration kTick{1 << 21};  // 2.1 ms
  static constexpr std::size_t kSlots =
      8192;  // 17.2 s: the keep-alive default fits, and sweeps of the far list lie as far apart

  Timers();
  Timers(const Timers&) = delete;

  /// kNever is a deadline too: the entry leaves the wheel when its slot comes. Call expire() with
  /// the time of the turn before.
  void set(TimerEntry& entry, core::Instant deadline) noexcept {
    entry.deadline_ = deadline;
    if (entry.link_ == nullptr ? deadline != core::kNever : tick_of(deadline) < entry.tick_)
      place(entry);
  }
  void remove(TimerEntry& entry) noexcept;

  /// When expire() has something to do next; kNever when the wheel is empty. Later than the first
  /// deadline by at most one tick.
  [[nodiscard]] core::Instant next() const noexcept;

  /// Call `due(entry)` for each entry whose slot has come and whose deadline has passed, unlinked.
  /// `due` may set and remove any entry.
  template <class F>
  void expire(core::Instant now, F&& due) {
    const std::uint64_t end = tick_of(now);  // the first tick that has not ended
    while (count_ > 0 && earliest_ < end) {
      // A slot's entries go to a list of their own first: those that are placed anew must not be
      // met again.
      TimerEntry* list = nullptr;
      take_earliest(list);
      while (list != nullptr) {
        TimerEntry& entry = *list;
        unlink(entry);
        if (entry.deadline_ <= now) {
          due(entry);
        } else if (entry.deadline_ != core::kNever) {
          place(entry);
        }
      }
      find_earliest();
    }
    if (end > current_) current_ = end;
  }

 private:
  static std::uint64_t tick_of(core::Instant t) noexcept {
    return static_cast<std::uint64_t>(t.time_since_epoch().count()) /
           static_cast<std::uint64_t>(kTick.count());
  }
  void place(TimerEntry& entry) noexcept;
  void unlink(TimerEntry& entry) noexcept;
  void link(TimerEntry*& head, TimerEntry& entry) noexcept;
  void take_earliest(TimerEntry*& list) noexcept;
  void find_earliest() noexcept;

  std::unique_ptr<std::array<TimerEntry*, kSlots>> slots_;
  std::array<std::uint64_t, kSlots / 64>
      occupied_{};              // a bit per slot; may lag behind a removal, never behind a placing
  TimerEntry* far_ = nullptr;   // beyond the slots when they were placed
  std::uint64_t far_tick_ = 0;  // none of them is due earlier
  std::uint64_t current_ = 0;   // no linked entry sits at an earlier tick
  std::uint64_t earliest_ = 0;  // with count_ > 0: no entry sits at an earlier tick
  std::size_t count_ = 0;
};

}  // namespace iotax::driver
