// IP addresses as values, from and to the text that proxies send. Does not resolve names.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotax::core {

/// An IPv6 address, or an IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2), so that both forms of
/// one address are equal.
using IpAddress = std::array<std::uint8_t, 16>;

/// Parse "192.0.2.1", "2001:db8::1" or "::ffff:192.0.2.1" (RFC 4291 §2.2). No brackets, port, zone
/// or octal numbers. Returns nothing for any other text.
[[nodiscard]] std::optional<IpAddress> parse_ip(std::string_view text) noexcept;

/// The canonical text (RFC 5952 §4). A mapped address is shown as IPv4.
[[nodiscard]] std::string ip_text(const IpAddress& address);

/// Whether `text` is an IPv6address as in RFC 3986 §3.2.2, so without a zone.
[[nodiscard]] bool is_ipv6(std::string_view text) noexcept;

}  // namespace iotax::core
