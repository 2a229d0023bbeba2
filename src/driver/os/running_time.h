// Time in which this process ran. A stopped process (SIGSTOP, a debugger, a frozen container, a
// throttled CPU) cannot serve, so that time does not count for any deadline: the leader notices
// that a wait ended much later than planned and leaves the difference out. It must not know what is
// timed.
#pragma once

#include <atomic>
#include <chrono>

#include "core/instant.h"

namespace iotax::driver {

/// The monotonic clock minus the time left out. at() and left_out() are thread-safe; only one
/// thread at a time may call notice().
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
  [[nodiscard]] core::Duration left_out() const noexcept {
    return left_out_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<core::Duration> left_out_{core::Duration{}};
};

}  // namespace iotax::driver
