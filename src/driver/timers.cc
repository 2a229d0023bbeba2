// The slots of the timer wheel: linking, unlinking and finding the first one that is occupied.
#include "driver/timers.h"

#include <algorithm>
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
  const std::uint64_t tick = std::clamp(tick_of(entry.deadline_), current_, current_ + kSlots - 1);
  const std::size_t slot = tick % kSlots;
  TimerEntry*& head = (*slots_)[slot];
  entry.tick_ = tick;
  entry.next_ = head;
  entry.link_ = &head;
  if (head != nullptr) head->link_ = &entry.next_;
  head = &entry;
  occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
  earliest_ = count_ == 0 ? tick : std::min(earliest_, tick);
  ++count_;
}

void Timers::unlink(TimerEntry& entry) noexcept {
  *entry.link_ = entry.next_;
  if (entry.next_ != nullptr) entry.next_->link_ = entry.link_;
  entry.next_ = nullptr;
  entry.link_ = nullptr;
  --count_;
}

void Timers::take_slot(std::uint64_t tick, TimerEntry*& list) noexcept {
  const std::size_t slot = tick % kSlots;
  list = std::exchange((*slots_)[slot], nullptr);
  if (list != nullptr) list->link_ = &list;
  occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  current_ = tick + 1;
}

void Timers::find_earliest() noexcept {
  if (count_ == 0) return;
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
      earliest_ = tick;
      return;
    }
    occupied_[found / 64] &= ~(std::uint64_t{1} << (found % 64));
  }
}

}  // namespace iotax::driver
