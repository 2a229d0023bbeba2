// Lazy timer wheel: finds due entries at the cost of one store per request. Time is passed in; it
// must not know what is being timed.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/instant.h"

namespace iotax::driver {

/// Base or member of an object with a deadline. The owner removes it from its wheel before
/// destroying it.
class TimerEntry {
 public:
  TimerEntry() = default;
  TimerEntry(const TimerEntry&) = delete;

  /// The deadline as last set; kNever when none is set.
  [[nodiscard]] core::Instant deadline() const noexcept { return deadline_; }

 private:
  friend class Timers;
  core::Instant deadline_ = core::kNever;
  std::uint64_t tick_ = 0;  // its position while linked; never later than the deadline's tick
  TimerEntry* next_ = nullptr;
  TimerEntry** link_ = nullptr;  // the pointer to this entry; null when not linked
};

/// A wheel of slots of one tick. Moving a deadline later costs one store: the entry stays, and
/// moves when its slot is due. A slot is swept once, after its tick. So an entry expires at the
/// first expire() at least one tick after its deadline, or a little earlier, but never before the
/// deadline. Entries beyond the slots wait in the far list, which is swept when its first entry is
/// due, so that long waits cause no early wake-ups. All instants are at or after Instant{} (a
/// monotonic clock).
class Timers {
 public:
  static constexpr core::Duration kTick{1 << 21};  // 2.1 ms
  static constexpr std::size_t kSlots = 8192;  // 17.2 s: covers the keep-alive default, and is the
                                               // distance between sweeps of the far list

  Timers();
  Timers(const Timers&) = delete;

  /// kNever is a deadline too: the entry leaves the wheel when its slot is due. Call expire() with
  /// the time of the turn before calling this.
  void set(TimerEntry& entry, core::Instant deadline) noexcept {
    entry.deadline_ = deadline;
    if (entry.link_ == nullptr ? deadline != core::kNever : tick_of(deadline) < entry.tick_)
      place(entry);
  }
  void remove(TimerEntry& entry) noexcept;

  /// When expire() must be called next; kNever when the wheel is empty. At most one tick after the
  /// first deadline.
  [[nodiscard]] core::Instant next() const noexcept;

  /// Call `due(entry)` for each entry whose slot is due and whose deadline has passed; the entry is
  /// unlinked. `due` may set and remove any entry.
  template <class F>
  void expire(core::Instant now, F&& due) {
    const std::uint64_t end = tick_of(now);  // the first tick that has not ended
    while (count_ > 0 && earliest_ < end) {
      // Move the entries of a slot to a separate list first, so that those that are placed again
      // are not visited twice.
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
  std::array<std::uint64_t, kSlots / 64> occupied_{};  // a bit per slot; may stay set after a
                                                       // removal, but is set with every placement
  TimerEntry* far_ = nullptr;   // entries that were beyond the slots when placed
  std::uint64_t far_tick_ = 0;  // none of them is due earlier
  std::uint64_t current_ = 0;   // no linked entry sits at an earlier tick
  std::uint64_t earliest_ = 0;  // with count_ > 0: no entry sits at an earlier tick
  std::size_t count_ = 0;
};

}  // namespace iotax::driver
