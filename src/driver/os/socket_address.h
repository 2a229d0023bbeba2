// Socket addresses in the form of the kernel and as text.
#pragma once

#include <sys/socket.h>

#include <string>

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

[[nodiscard]] bool is_unix(const SocketAddress& address) noexcept;

}  // namespace iotax::driver
