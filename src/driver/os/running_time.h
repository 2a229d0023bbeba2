// Time in which this process ran. A stopped process (SIGSTOP, a debugger, a frozen container, a
// throttled CPU) cannot serve, so that time does not count for any deadline: the leader notices
// that a wait ended much later than planned and leaves the difference out. It must not know what is
// timed.
#pragma once

#include <atomic>
#include <chrono>

#include "core/instant.h"

namespace iotax::driver {

/// The monotonic clock minus the time left out. Thread-safe, except that only one thread at a time,
/// the leader, may call plan() and notice().
class RunningTime {
 public:
  /// How much later than planned a wait may end: threads on a loaded machine are this late.
  static constexpr core::Duration kSlack = std::chrono::milliseconds{100};

  [[nodiscard]] core::Instant at(core::Instant monotonic) const noexcept {
    return monotonic - left_out();
  }
  /// Check a wait that should have ended at `planned`, a time of at(), and ended at `monotonic`.
  /// True: it ended more than kSlack late, and at(monotonic) is now `planned`.
  bool notice(core::Instant planned, core::Instant monotonic) noexcept {
    const core::Instant now = at(monotonic);
    if (now - kSlack <= planned) return false;
    left_out_.store(left_out() + (now - planned), std::memory_order_relaxed);
    return true;
  }
  /// Set the time of at() by which the leader checks next; kNever: it does not.
  void plan(core::Instant planned) noexcept { planned_.store(planned, std::memory_order_relaxed); }
  [[nodiscard]] core::Instant planned() const noexcept {
    return planned_.load(std::memory_order_relaxed);
  }
  /// at(monotonic), but not after the planned time: if the leader is late, it may leave out the
  /// time since then, and a deadline that included that time would have it left out twice.
  [[nodiscard]] core::Instant noticed(core::Instant monotonic) const noexcept {
    const core::Instant now = at(monotonic);
    const core::Instant due = planned();
    return now - kSlack > due ? due : now;
  }
  [[nodiscard]] core::Duration left_out() const noexcept {
    return left_out_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<core::Duration> left_out_{core::Duration{}};
  std::atomic<core::Instant> planned_{core::kNever};
};

}  // namespace iotax::driver
