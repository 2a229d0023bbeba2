// How long an application thread has run calls and waited for the application lock, for the admin
// listener. Written by the thread, read by the leader. It must not know why a thread waits.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/instant.h"

namespace iotax::driver {

/// The total of the periods between begin() and end(), including the one in progress. One word
/// holds both: the total, less the begin of the period in progress, which makes it negative,
/// because the clock began before the first period.
class Stopwatch {
 public:
  // ---- by the thread
  void begin(core::Instant now) noexcept { add(-now.time_since_epoch().count()); }
  void end(core::Instant now) noexcept { add(now.time_since_epoch().count()); }

  // ---- by any thread
  [[nodiscard]] core::Duration total(core::Instant now) const noexcept {
    const std::int64_t word = word_.load(std::memory_order_relaxed);
    return core::Duration{word >= 0 ? word : word + now.time_since_epoch().count()};
  }

 private:
  void add(std::int64_t more) noexcept {
    word_.store(word_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }

  std::atomic<std::int64_t> word_{0};  // nanoseconds
};

struct alignas(64) ThreadTimes {
  Stopwatch busy;
  Stopwatch lock_wait;
  core::Instant free_since{};  // end of the last call; for the thread only
};

}  // namespace iotax::driver
