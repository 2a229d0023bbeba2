// Time in which this process ran. A process that is stopped (SIGSTOP, a debugger, a frozen
// container, a throttled CPU) cannot serve, so that time counts for no deadline: its leader notices
// that a wait ended much later than planned, and leaves the difference out. It must not know who
// waits for what.
#pragma once

#include <atomic>
#include <chrono>

#include "core/instant.h"

namespace iotax::driver {

/// The monotonic clock less what was left out. at() and left_out() are for any thread, notice() for
/// one at a time.
class RunningTime {
 public:
  /// How much later than planned a wait may end: on a loaded machine threads are that late.
  static constexpr core::Duration kSlack = std::chrono::milliseconds{100};

  [[nodiscard]] core::Instant at(core::Instant monotonic) const noexcept {
    return monotonic - left_out();
  }
  /// It is `monotonic` now, and the caller was to run again at `planned`, a time of at(). True: it
  /// is more than kSlack later, and at() is `planned` now.
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
