// Escaping of bytes that a client or an application chose, for the lines of the logs. It must not
// know what a text means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/text.h"

namespace iotax::driver {

/// How many offending bytes of a client a warning shows.
inline constexpr std::size_t kShownBytesMax = 80;

/// write_escaped() and write_json_escaped() write at most this many bytes for each one.
inline constexpr std::size_t kEscapedBytesMax = 6;

namespace detail {

constexpr bool is_plain(char c) noexcept { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

constexpr std::uint64_t repeated(unsigned char octet) noexcept {
  return 0x0101010101010101U * octet;
}

/// Whether all bytes of the word are is_plain(). A byte in which no bit 7 is set is below `limit`
/// if subtracting that sets its bit 7; a borrow only comes from a byte that is not plain.
constexpr bool all_plain(std::uint64_t word) noexcept {
  const auto below = [](std::uint64_t of, unsigned char limit) { return of - repeated(limit); };
  const std::uint64_t odd = word | below(word, 0x20) | below(word ^ repeated('"'), 1) |
                            below(word ^ repeated('\\'), 1) | below(word ^ repeated(0x7f), 1);
  return (odd & repeated(0x80)) == 0;
}

}  // namespace detail

/// Whether write_escaped() and write_json_escaped() write the text as it is: nearly every text.
[[nodiscard]] inline bool is_plain(std::string_view text) noexcept {
  using core::word_at, detail::all_plain;
  const char* const at = text.data();
  const std::size_t size = text.size();
  if (size >= 8) {
    for (std::size_t n = 0; n + 8 < size; n += 8)
      if (!all_plain(word_at<std::uint64_t>(at + n))) return false;
    return all_plain(word_at<std::uint64_t>(at + size - 8));
  }
  if (size >= 4) {
    const std::uint64_t back = word_at<std::uint32_t>(at + size - 4);
    return all_plain(word_at<std::uint32_t>(at) | back << 32U);
  }
  for (const char c : text)
    if (!detail::is_plain(c)) return false;
  return true;
}

/// Append `bytes`, with `"`, `\` and everything but printable ASCII as \xNN.
void append_escaped(std::string& line, std::string_view bytes);
/// The same at `to`, which has room for 4 bytes for each one. Returns the end.
[[nodiscard]] char* write_escaped(char* to, std::string_view bytes) noexcept;

/// Write UTF-8 `bytes` as the inside of a JSON string in ASCII, \ufffd for each byte that is not
/// UTF-8. `to` has room for kEscapedBytesMax bytes for each one. Returns the end. Stops before the
/// character that would exceed `bytes_max`, and then makes `bytes` its rest; otherwise empty.
[[nodiscard]] char* write_json_escaped(char* to, std::string_view& bytes,
                                       std::size_t bytes_max) noexcept;

}  // namespace iotax::driver
