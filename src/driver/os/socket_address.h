// Socket addresses in the form of the kernel and as text.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotax::driver {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
};

struct NumericAddress {
  std::string address;  // without brackets
  std::string port;
};

/// IPv4 addresses mapped into IPv6 are shown as IPv4. Both are empty for other families.
[[nodiscard]] NumericAddress numeric_address(const SocketAddress& address);

/// The reverse. `scope`: of an IPv6 address in a zone (RFC 4007 section 11), else 0. Nothing if it
/// is not an address.
[[nodiscard]] std::optional<SocketAddress> internet_address(const std::string& address,
                                                            std::uint16_t port,
                                                            std::uint32_t scope = 0);
/// Nothing if the path is empty or too long.
[[nodiscard]] std::optional<SocketAddress> unix_address(std::string_view path);

[[nodiscard]] bool is_unix(const SocketAddress& address) noexcept;

}  // namespace iotax::driver
