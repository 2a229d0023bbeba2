// Which octets may stand where: one table, one look-up per octet.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace iotax::core {

enum Octet : std::uint8_t {
  kToken = 1,  // tchar, RFC 9110 §5.6.2
  kPath = 2,   // RFC 3986 path octets and "[]|^" (http1-policy rule 7); "%" is looked at apart
  kQuery = 4,  // 0x21-0x7E but "#" (rule 8)
  kHost = 8,   // reg-name without ",": unreserved, sub-delims; "%" apart (rule 20)
  kHex = 16,
  kDigit = 32,
  kValue = 64,      // field-vchar, SP, HTAB (rule 16)
  kRequestId = 128  // [A-Za-z0-9._-]
};

namespace detail {

constexpr bool in(std::string_view set, unsigned octet) noexcept {
  return set.find(static_cast<char>(octet)) != std::string_view::npos;
}

constexpr std::array<std::uint8_t, 256> make_octets() noexcept {
  std::array<std::uint8_t, 256> table{};
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
    if (c == '\t' || (c >= 0x20 && c != 0x7F)) bits |= kValue;
    if (digit || alpha || c == '.' || c == '_' || c == '-') bits |= kRequestId;
    table[c] = static_cast<std::uint8_t>(bits);
  }
  return table;
}

}  // namespace detail

inline constexpr std::array<std::uint8_t, 256> kOctets = detail::make_octets();

constexpr bool is(char octet, Octet kind) noexcept {
  return (kOctets[static_cast<unsigned char>(octet)] & kind) != 0;
}

constexpr bool all(std::string_view text, Octet kind) noexcept {
  for (const char c : text)
    if (!is(c, kind)) return false;
  return true;
}

/// Whether `token` equals `lower` in any case. `lower` holds small letters and "-" only; `token` is
/// a token (RFC 9110 §5.6.2), so that no octet but a letter's capital turns into a letter when bit
/// 5 is set.
constexpr bool same_token(std::string_view token, std::string_view lower) noexcept {
  if (token.size() != lower.size()) return false;
  for (std::size_t i = 0; i < lower.size(); ++i)
    if ((token[i] | 0x20) != lower[i]) return false;
  return true;
}

/// The text without SP and HTAB at both ends.
constexpr std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace iotax::core
