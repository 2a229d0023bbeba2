// Time in core: a value that is passed in. The clock type has no now(), so that core code that asks
// for the time does not compile.
#pragma once

#include <chrono>
#include <cstdint>

namespace iotax::core {

using Duration = std::chrono::nanoseconds;

struct Clock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock, duration>;
  static constexpr bool is_steady = true;
};

/// A point on the monotonic clock of the caller.
using Instant = Clock::time_point;
inline constexpr Instant kNever = Instant::max();

}  // namespace iotax::core
