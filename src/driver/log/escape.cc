#include "driver/log/escape.h"

#include <algorithm>
#include <cstdint>

#include "core/text.h"

namespace iotax::driver {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

/// Number of leading plain bytes.
std::size_t plain_run(std::string_view bytes) noexcept {
  std::size_t run = 0;
  for (; run + 8 <= bytes.size(); run += 8) {
    if (!detail::all_plain(core::word_at<std::uint64_t>(bytes.data() + run))) break;
  }
  while (run < bytes.size() && detail::is_plain(bytes[run])) ++run;
  return run;
}

/// The character that `bytes` begin with, and its size; a size of 0: they are not UTF-8 (RFC 3629).
struct Decoded {
  char32_t character = 0;
  std::size_t bytes = 0;
};

Decoded decode(std::string_view bytes) noexcept {
  const auto at = [&](std::size_t n) { return static_cast<unsigned char>(bytes[n]); };
  const unsigned char first = at(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first >= 0xf5   ? 0
                           : first >= 0xf0 ? 4
                           : first >= 0xe0 ? 3
                           : first >= 0xc2 ? 2
                                           : 0;
  if (size == 0 || size > bytes.size()) return {};
  auto character = static_cast<char32_t>(first & (0xff >> (size + 1)));
  for (std::size_t n = 1; n < size; ++n) {
    if ((at(n) & 0xc0) != 0x80) return {};
    character = character << 6 | (at(n) & 0x3fU);
  }
  const bool overlong = (size == 3 && character < 0x800) || (size == 4 && character < 0x10000);
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  return overlong || surrogate || character > 0x10ffff ? Decoded{} : Decoded{character, size};
}

char* write_unit(char* to, unsigned unit) noexcept {
  *to++ = '\\';
  *to++ = 'u';
  for (int shift = 12; shift >= 0; shift -= 4) *to++ = kHex[unit >> shift & 15];
  return to;
}

}  // namespace

char* write_escaped(char* to, std::string_view bytes) noexcept {
  for (;;) {
    const std::size_t run = plain_run(bytes);
    to = core::copy_text(to, bytes.substr(0, run));
    if (run == bytes.size()) return to;
    const auto octet = static_cast<unsigned char>(bytes[run]);
    *to++ = '\\';
    *to++ = 'x';
    *to++ = kHex[octet >> 4];
    *to++ = kHex[octet & 15];
    bytes.remove_prefix(run + 1);
  }
}

void append_escaped(std::string& line, std::string_view bytes) {
  const std::size_t before = line.size();
  line.resize(before + 4 * bytes.size());
  line.resize(static_cast<std::size_t>(write_escaped(line.data() + before, bytes) - line.data()));
}

char* write_json_escaped(char* to, std::string_view& bytes, std::size_t bytes_max) noexcept {
  const char* const end = to + bytes_max;
  for (;;) {
    const auto room = static_cast<std::size_t>(end - to);
    const std::size_t run = std::min(plain_run(bytes), room);
    to = core::copy_text(to, bytes.substr(0, run));
    bytes.remove_prefix(run);
    if (bytes.empty() || to == end) return to;
    const char c = bytes.front();
    const bool quoted = c == '"' || c == '\\' || c == '\n';
    const Decoded found = quoted ? Decoded{} : decode(bytes);
    const std::size_t needed = quoted ? 2 : found.character >= 0x10000 ? 12 : 6;
    if (needed > static_cast<std::size_t>(end - to)) return to;
    if (quoted) {
      *to++ = '\\';
      *to++ = c == '\n' ? 'n' : c;
    } else if (found.character >= 0x10000) {
      const auto above = static_cast<unsigned>(found.character - 0x10000);
      to = write_unit(write_unit(to, 0xd800 + (above >> 10)), 0xdc00 + (above & 0x3ff));
    } else {
      to = write_unit(to, found.bytes == 0 ? 0xfffd : static_cast<unsigned>(found.character));
    }
    bytes.remove_prefix(std::max<std::size_t>(found.bytes, 1));
  }
}

}  // namespace iotax::driver
