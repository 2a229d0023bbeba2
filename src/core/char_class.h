// Which bytes are allowed where: one table, one lookup per byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iotax::core {

enum CharClass : std::uint16_t {
  kToken = 1,  // tchar, RFC 9110 §5.6.2
  kPath = 2,   // RFC 3986 path bytes and "[]|^" (http1-policy rule 7); "%" is checked separately
  kQuery = 4,  // 0x21-0x7E except "#" (rule 8)
  kHost = 8,   // reg-name without ",": unreserved, sub-delims; "%" separately (rule 20)
  kHex = 16,
  kDigit = 32,
  kValue = 64,       // field-vchar, SP, HTAB (rule 16)
  kRequestId = 128,  // [A-Za-z0-9._-]
  kStatus = 256      // bytes of a status: those of a value except HTAB
};

namespace detail {

constexpr bool in(std::string_view set, unsigned octet) noexcept {
  return set.find(static_cast<char>(octet)) != std::string_view::npos;
}

constexpr std::array<std::uint16_t, 256> make_char_classes() noexcept {
  std::array<std::uint16_t, 256> table{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool digit = c >= '0' && c <= '9';
    const bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    unsigned bits = 0;
    if (digit || alpha || (c < 128 && c != 0 && in("!#$%&'*+-.^_`|~", c))) bits |= kToken;
    if (digit || alpha || (c < 128 && c != 0 && in("-._~!$&'()*+,;=:@/[]|^", c))) bits |= kPath;
    if (c > 0x20 && c < 0x7F && c != '#') bits |= kQuery;
    if (digit || alpha || (c < 128 && c != 0 && in("-._~!$&'()*+;=", c))) bits |= kHost;
    if (digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) bits |= kHex;
    if (digit) bits |= kDigit;
    if (c >= 0x20 && c != 0x7F) bits |= kValue | kStatus;
    if (c == '\t') bits |= kValue;
    if (digit || alpha || c == '.' || c == '_' || c == '-') bits |= kRequestId;
    table[c] = static_cast<std::uint16_t>(bits);
  }
  return table;
}

}  // namespace detail

inline constexpr std::array<std::uint16_t, 256> kCharClasses = detail::make_char_classes();

constexpr bool is(char octet, CharClass kind) noexcept {
  return (kCharClasses[static_cast<unsigned char>(octet)] & kind) != 0;
}

namespace detail {

inline bool are_four(const char* at, CharClass kind) noexcept {
  const auto* octets = reinterpret_cast<const unsigned char*>(at);
  return (kCharClasses[octets[0]] & kCharClasses[octets[1]] & kCharClasses[octets[2]] &
          kCharClasses[octets[3]] & kind) != 0;
}

}  // namespace detail

inline bool all(std::string_view text, CharClass kind) noexcept {
  const char* at = text.data();
  if (text.size() >= 4) {
    const char* const last = at + text.size() - 4;
    for (; at < last; at += 4)
      if (!detail::are_four(at, kind)) return false;
    return detail::are_four(last, kind);  // may check some bytes twice
  }
  for (const char c : text)
    if (!is(c, kind)) return false;
  return true;
}

/// Number of leading bytes of this class.
inline std::size_t run_of(std::string_view text, CharClass kind) noexcept {
  std::size_t run = 0;
  while (run + 4 <= text.size() && detail::are_four(text.data() + run, kind)) run += 4;
  while (run < text.size() && is(text[run], kind)) ++run;
  return run;
}

/// The text without SP and HTAB at both ends.
[[nodiscard]] constexpr std::string_view trimmed(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  const char* begin = text.data();
  const char* end = begin + text.size();
  while (begin != end && blank(*begin)) ++begin;
  while (begin != end && blank(end[-1])) --end;
  return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace iotax::core
