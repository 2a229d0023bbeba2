#include "driver/session/http_date.h"

#include <algorithm>
#include <chrono>

#include "driver/os/civil_time.h"

namespace iotax::driver {
namespace {

char* put(char* out, std::string_view text) noexcept {
  return std::copy(text.begin(), text.end(), out);
}

char* put_two(char* out, unsigned value) noexcept {
  *out++ = static_cast<char>('0' + value / 10 % 10);
  *out++ = static_cast<char>('0' + value % 10);
  return out;
}

}  // namespace

std::string_view DateCache::at(core::Duration unix_time) noexcept {
  static constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed",
                                                         "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> kMonths{
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::int64_t second = std::chrono::floor<std::chrono::seconds>(unix_time).count();
  if (second != second_) {
    second_ = second;
    const CivilTime t = civil_time(second);
    const auto year = static_cast<unsigned>(t.year);
    char* out = put(text_.data(), kDays[t.weekday]);
    out = put_two(put(out, ", "), t.day);
    out = put(put(put(out, " "), kMonths[t.month - 1]), " ");
    out = put_two(put_two(out, year / 100), year % 100);
    out = put_two(put(out, " "), t.hour);
    out = put_two(put(out, ":"), t.minute);
    out = put_two(put(out, ":"), t.second);
    put(out, " GMT");
  }
  return {text_.data(), text_.size()};
}

}  // namespace iotax::driver
