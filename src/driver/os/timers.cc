// The slots and the far list of the timer wheel: linking, unlinking and finding the first occupied
// slot.
#include "driver/os/timers.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace iotax::driver {

Timers::Timers() : slots_(std::make_unique<std::array<TimerEntry*, kSlots>>()) {}

core::Instant Timers::next() const noexcept {
  if (count_ == 0) return core::kNever;
  return core::Instant{kTick * static_cast<std::int64_t>(earliest_ + 1)};
}

void Timers::remove(TimerEntry& entry) noexcept {
  entry.deadline_ = core::kNever;
  if (entry.link_ != nullptr) unlink(entry);
}

void Timers::place(TimerEntry& entry) noexcept {
  if (entry.link_ != nullptr) unlink(entry);
  const std::uint64_t tick = std::max(tick_of(entry.deadline_), current_);
  entry.tick_ = tick;
  if (tick - current_ < kSlots) {
    const std::size_t slot = tick % kSlots;
    link((*slots_)[slot], entry);
    occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
  } else {
    far_tick_ = far_ == nullptr ? tick : std::min(far_tick_, tick);
    link(far_, entry);
  }
  earliest_ = count_ == 0 ? tick : std::min(earliest_, tick);
  ++count_;
}

void Timers::link(TimerEntry*& head, TimerEntry& entry) noexcept {
  entry.next_ = head;
  entry.link_ = &head;
  if (head != nullptr) head->link_ = &entry.next_;
  head = &entry;
}

void Timers::unlink(TimerEntry& entry) noexcept {
  *entry.link_ = entry.next_;
  if (entry.next_ != nullptr) entry.next_->link_ = entry.link_;
  entry.next_ = nullptr;
  entry.link_ = nullptr;
  --count_;
}

/// Take the entries at `earliest_`: first the far list, if it is due, then the slot.
void Timers::take_earliest(TimerEntry*& list) noexcept {
  if (far_ != nullptr && far_tick_ <= earliest_) {
    list = std::exchange(far_, nullptr);
    current_ = earliest_;
  } else {
    const std::size_t slot = earliest_ % kSlots;
    list = std::exchange((*slots_)[slot], nullptr);
    occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
    current_ = earliest_ + 1;
  }
  if (list != nullptr) list->link_ = &list;
}

void Timers::find_earliest() noexcept {
  if (count_ == 0) return;
  earliest_ = far_ == nullptr ? std::numeric_limits<std::uint64_t>::max() : far_tick_;
  for (std::uint64_t tick = current_; tick < current_ + kSlots;) {
    const std::size_t slot = tick % kSlots;
    const std::uint64_t bits = occupied_[slot / 64] >> (slot % 64);
    if (bits == 0) {
      tick += 64 - slot % 64;
      continue;
    }
    tick += static_cast<std::uint64_t>(std::countr_zero(bits));
    const std::size_t found = tick % kSlots;
    if ((*slots_)[found] != nullptr) {
      earliest_ = std::min(earliest_, tick);
      return;
    }
    occupied_[found / 64] &= ~(std::uint64_t{1} << (found % 64));
  }
}

}  // namespace iotax::driver
