#include "driver/os/civil_time.h"

#include <chrono>

namespace iotax::driver {

CivilTime civil_time(std::int64_t unix_seconds) noexcept {
  using namespace std::chrono;
  const sys_seconds at{seconds{unix_seconds}};
  const sys_days midnight = floor<days>(at);
  const year_month_day date{midnight};
  const hh_mm_ss<seconds> time{at - midnight};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<unsigned>(time.hours().count()),
          static_cast<unsigned>(time.minutes().count()),
          static_cast<unsigned>(time.seconds().count()),
          weekday{midnight}.c_encoding()};
}

}  // namespace iotax::driver
