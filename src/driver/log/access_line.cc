// Builds log lines without streams and locales.
#include "driver/log/access_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "core/reason_phrase.h"

namespace iotax::driver {
namespace {

constexpr bool printed_as_is(char c) noexcept {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void append_number(std::string& line, std::uint64_t value) {
  std::array<char, 20> digits;
  line.append(digits.data(),
              std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

/// Milliseconds with one decimal, rounded down.
void append_ms(std::string& line, core::Duration d) {
  const auto tenths = static_cast<std::uint64_t>(std::max<std::int64_t>(d.count(), 0) / 100'000);
  append_number(line, tenths / 10);
  line += '.';
  line += static_cast<char>('0' + tenths % 10);
  line += "ms";
}

}  // namespace

void append_escaped(std::string& line, std::string_view bytes) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  for (auto at = bytes.begin(); at != bytes.end();) {
    const auto plain = std::find_if_not(at, bytes.end(), printed_as_is);
    line.append(at, plain);
    if (plain == bytes.end()) return;
    const auto octet = static_cast<unsigned char>(*plain);
    line += "\\x";
    line += kHex[octet >> 4];
    line += kHex[octet & 15];
    at = plain + 1;
  }
}

std::string format_access(const AccessEntry& entry) {
  std::string line;
  line.reserve(96 + entry.target.size());
  line += entry.client;
  line += " - \"";
  if (entry.method.empty()) {
    line += '-';
  } else {
    append_escaped(line, entry.method);
    if (!entry.target.empty()) {
      line += ' ';
      append_escaped(line, entry.target);
    }
    if (!entry.version.empty()) {
      line += ' ';
      line += entry.version;
    }
  }
  line += "\" ";
  if (entry.status <= 0) {
    line += '-';
  } else {
    append_number(line, static_cast<std::uint64_t>(entry.status));
    if (const std::string_view phrase = core::reason_phrase(entry.status); !phrase.empty()) {
      line += ' ';
      line += phrase;
    }
  }
  line += ' ';
  append_number(line, entry.bytes);
  line += "B ";
  append_ms(line, entry.duration);
  line += ' ';
  line += entry.request_id;
  return line;
}

}  // namespace iotax::driver
