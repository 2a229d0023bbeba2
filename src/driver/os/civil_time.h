// Converts seconds to a calendar day without a locale and the C library's calendar. It must not
// know a clock.
#pragma once

#include <cstdint>

namespace iotax::driver {

/// A date and time of the proleptic Gregorian calendar, in UTC.
struct CivilTime {
  std::int64_t year;
  unsigned month, day;  // from 1
  unsigned hour, minute, second;
  unsigned weekday;  // 0: Sunday
};

[[nodiscard]] CivilTime civil_time(std::int64_t unix_seconds) noexcept;

}  // namespace iotax::driver
