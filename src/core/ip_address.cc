#include "core/ip_address.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <span>

namespace iotax::core {
namespace {

/// Remove an unsigned number of at most `digits` digits from the front of `text`.
std::optional<unsigned> take_number(std::string_view& text, int base, std::size_t digits) noexcept {
  const std::string_view window = text.substr(0, digits + 1);
  unsigned number = 0;
  const auto [end, error] =
      std::from_chars(window.data(), window.data() + window.size(), number, base);
  const auto taken = static_cast<std::size_t>(end - window.data());
  if (error != std::errc{} || taken > digits) return std::nullopt;
  text.remove_prefix(taken);
  return number;
}

bool parse_v4(std::string_view text, std::span<std::uint8_t, 4> into) noexcept {
  for (std::size_t i = 0; i < into.size(); ++i) {
    if (i != 0) {
      if (!text.starts_with('.')) return false;
      text.remove_prefix(1);
    }
    if (text.size() > 1 && text[0] == '0' && text[1] != '.')
      return false;  // some parsers read it as octal
    const auto octet = take_number(text, 10, 3);
    if (!octet || *octet > 255) return false;
    into[i] = static_cast<std::uint8_t>(*octet);
  }
  return text.empty();
}

/// Parse the groups on one side of "::". Returns the number of bytes written, or nothing.
std::optional<std::size_t> parse_groups(std::string_view text,
                                        std::span<std::uint8_t> into) noexcept {
  std::size_t bytes = 0;
  while (!text.empty()) {
    if (text.find('.') != std::string_view::npos && text.find(':') == std::string_view::npos) {
      if (bytes + 4 > into.size() || !parse_v4(text, into.subspan(bytes).first<4>()))
        return std::nullopt;
      return bytes + 4;
    }
    const auto group = take_number(text, 16, 4);
    if (!group || bytes + 2 > into.size()) return std::nullopt;
    into[bytes++] = static_cast<std::uint8_t>(*group >> 8);
    into[bytes++] = static_cast<std::uint8_t>(*group & 0xFF);
    if (text.empty()) break;
    if (text.front() != ':' || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  return bytes;
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) noexcept {
  IpAddress address{};
  const std::span<std::uint8_t> all{address};
  if (text.find(':') == std::string_view::npos) {
    address[10] = address[11] = 0xFF;
    return parse_v4(text, all.last<4>()) ? std::optional{address} : std::nullopt;
  }
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto bytes = parse_groups(text, all);
    return bytes == address.size() ? std::optional{address} : std::nullopt;
  }
  IpAddress tail{};
  const std::string_view left = text.substr(0, gap);
  if (left.find('.') != std::string_view::npos) return std::nullopt;  // an IPv4 part must be last
  const auto before = parse_groups(left, all);
  const auto after = parse_groups(text.substr(gap + 2), tail);
  if (!before || !after || *before + *after >= address.size()) return std::nullopt;
  std::copy_n(tail.begin(), *after, address.end() - static_cast<std::ptrdiff_t>(*after));
  return address;
}

std::string ip_text(const IpAddress& address) {
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (std::equal(kMapped.begin(), kMapped.end(), address.begin())) {
    std::string text;
    for (std::size_t i = kMapped.size(); i < address.size(); ++i) {
      if (!text.empty()) text += '.';
      text += std::to_string(address[i]);
    }
    return text;
  }
  constexpr std::size_t kGroups = 8;
  const auto group = [&address](std::size_t at) {
    return unsigned{address[2 * at]} << 8U | address[2 * at + 1];
  };
  // The longest run of zeros, the first of equal ones; a single zero is written.
  std::size_t gap = kGroups, gap_groups = 1;
  for (std::size_t begin = 0; begin < kGroups; ++begin) {
    std::size_t end = begin;
    while (end < kGroups && group(end) == 0) ++end;
    if (end - begin <= gap_groups) continue;
    gap = begin;
    gap_groups = end - begin;
  }
  std::string text;
  for (std::size_t at = 0; at < kGroups;) {
    if (at == gap) {
      text += "::";
      at += gap_groups;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    char digits[4];
    text.append(digits, std::to_chars(digits, digits + sizeof digits, group(at), 16).ptr);
    ++at;
  }
  return text;
}

bool is_ipv6(std::string_view text) noexcept {
  return text.find(':') != std::string_view::npos && parse_ip(text);
}

}  // namespace iotax::core
