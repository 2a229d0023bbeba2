#include "driver/log/statsd_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "driver/log/write_value.h"

namespace iotax::driver {
namespace {

using Digits = std::array<char, 2 * kValueBytesMax>;

std::string_view number(Digits& digits, std::uint64_t value) noexcept {
  const char* const end = write_number(digits.data(), value);
  return {digits.data(), static_cast<std::size_t>(end - digits.data())};
}

/// 0.288, rounded down to microseconds.
std::string_view milliseconds(Digits& digits, core::Duration value) noexcept {
  const auto whole = std::chrono::floor<std::chrono::microseconds>(value).count();
  const auto microseconds = static_cast<std::uint64_t>(std::max<std::int64_t>(whole, 0));
  char* end = write_number(digits.data(), microseconds / 1000);
  *end++ = '.';
  end = write_digits(end, microseconds % 1000, 3);
  return {digits.data(), static_cast<std::size_t>(end - digits.data())};
}

std::string_view counter_of(Level level) noexcept {
  switch (level) {
    case Level::debug:
    case Level::info:
      return {};
    case Level::warning:
      return "gunicorn.log.warning";
    case Level::error:
      return "gunicorn.log.error";
    case Level::critical:
      return "gunicorn.log.critical";
  }
  return {};
}

}  // namespace

StatsdText::StatsdText(std::string_view prefix, std::string_view tags) {
  prefix = prefix.substr(0, prefix.find_last_not_of('.') + 1);
  if (!prefix.empty()) prefix_.append(prefix).append(".");
  if (!tags.empty()) end_.append("|#").append(tags);
  end_ += '\n';
}

void StatsdText::request(std::string& to, int status, core::Duration took) const {
  Digits digits;
  line(to, "gunicorn.request.duration", milliseconds(digits, took), "|ms");
  increment(to, "gunicorn.requests");
  if (status <= 0) return;
  std::string name = "gunicorn.request.status.";
  increment(to, name.append(number(digits, static_cast<std::uint64_t>(status))));
}

void StatsdText::log_line(std::string& to, Level level) const {
  if (const std::string_view name = counter_of(level); !name.empty()) increment(to, name);
}

void StatsdText::workers(std::string& to, unsigned count) const {
  Digits digits;
  line(to, "gunicorn.workers", number(digits, count), "|g");
}

std::string_view StatsdText::first_datagram(std::string_view lines) noexcept {
  if (lines.size() > kDatagramBytesMax + 1) {
    const std::size_t end = lines.rfind('\n', kDatagramBytesMax);
    lines = lines.substr(0, end == std::string_view::npos ? lines.find('\n') + 1 : end + 1);
  }
  if (lines.ends_with('\n')) lines.remove_suffix(1);
  return lines;
}

void StatsdText::line(std::string& to, std::string_view name, std::string_view value,
                      std::string_view type) const {
  to.append(prefix_).append(name).append(":").append(value).append(type).append(end_);
}

}  // namespace iotax::driver
