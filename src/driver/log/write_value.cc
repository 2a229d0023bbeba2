#include "driver/log/write_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>

#include "core/text.h"
#include "driver/os/civil_time.h"

namespace iotax::driver {
namespace {

constexpr std::size_t kNumberBytesMax = 20;

/// "00", "01" and so on: half as many divisions.
constexpr auto kPairs = [] {
  std::array<char, 200> pairs{};
  for (std::size_t n = 0; n < 100; ++n) {
    pairs[2 * n] = static_cast<char>('0' + n / 10);
    pairs[2 * n + 1] = static_cast<char>('0' + n % 10);
  }
  return pairs;
}();

/// Rounded down.
std::uint64_t microseconds(core::Duration value) noexcept {
  const std::chrono::nanoseconds exact = std::max(value, core::Duration::zero());
  return static_cast<std::uint64_t>(exact.count()) / 1000;
}

char* write_year(char* to, const CivilTime& t) noexcept {
  return write_digits(to, static_cast<std::uint64_t>(std::max<std::int64_t>(t.year, 0)), 4);
}

char* write_clock(char* to, const CivilTime& t) noexcept {
  to = write_digits(to, t.hour, 2);
  *to++ = ':';
  to = write_digits(to, t.minute, 2);
  *to++ = ':';
  return write_digits(to, t.second, 2);
}

void write_second(char* to, std::chrono::seconds unix_time) noexcept {
  const CivilTime t = civil_time(unix_time.count());
  to = write_year(to, t);
  *to++ = '-';
  to = write_digits(to, t.month, 2);
  *to++ = '-';
  to = write_digits(to, t.day, 2);
  *to++ = 'T';
  to = write_clock(to, t);
  *to = '.';
}

}  // namespace

char* write_number(char* to, std::uint64_t value) noexcept {
  if (value < 10) {
    *to = static_cast<char>('0' + value);
    return to + 1;
  }
  return std::to_chars(to, to + kNumberBytesMax, value).ptr;
}

char* write_digits(char* to, std::uint64_t value, unsigned digits) noexcept {
  unsigned left = digits;
  for (; left >= 2; value /= 100) {
    left -= 2;
    std::memcpy(to + left, &kPairs[2 * (value % 100)], 2);
  }
  if (left == 1) *to = static_cast<char>('0' + value % 10);
  return to + digits;
}

char* write_seconds(char* to, core::Duration value) noexcept {
  static constexpr std::uint64_t kMicro = 1'000'000;
  const std::uint64_t total = microseconds(value);
  to = write_number(to, total / kMicro);
  *to++ = '.';
  return write_digits(to, total % kMicro, 6);
}

char* write_time(char* to, core::Duration unix_time, unsigned decimals) noexcept {
  // Many lines have the same second.
  thread_local std::chrono::seconds last = std::chrono::seconds::min();
  thread_local std::array<char, sizeof "2026-11-29T10:02:20." - 1> last_text;
  const auto second = std::chrono::floor<std::chrono::seconds>(unix_time);
  if (second != last) {
    last = second;
    write_second(last_text.data(), second);
  }
  to = core::copy_text(to, {last_text.data(), last_text.size()});
  const std::uint64_t fraction = microseconds(unix_time - second);
  return write_digits(to, decimals == 3 ? fraction / 1000 : fraction, decimals);
}

char* write_clf_time(char* to, core::Duration unix_time) noexcept {
  static constexpr std::array<std::string_view, 12> kMonths{
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const CivilTime t = civil_time(std::chrono::floor<std::chrono::seconds>(unix_time).count());
  *to++ = '[';
  to = write_digits(to, t.day, 2);
  *to++ = '/';
  to = core::copy_text(to, kMonths[t.month - 1]);
  *to++ = '/';
  to = write_year(to, t);
  *to++ = ':';
  to = write_clock(to, t);
  static constexpr std::string_view kUtc = " +0000]";
  return std::copy(kUtc.begin(), kUtc.end(), to);
}

}  // namespace iotax::driver
