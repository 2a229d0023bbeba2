#include "driver/os/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

namespace iotax::driver {
namespace {

std::string text_of(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, address, text.data(), text.size()) == nullptr ? "" : text.data();
}

}  // namespace

NumericAddress numeric_address(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    return {text_of(AF_INET, &v4.sin_addr), std::to_string(ntohs(v4.sin_port))};
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    const std::string port = std::to_string(ntohs(v6.sin6_port));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      return {text_of(AF_INET, v6.sin6_addr.s6_addr + 12), port};
    }
    return {text_of(AF_INET6, &v6.sin6_addr), port};
  }
  return {};
}

bool is_unix(const SocketAddress& address) noexcept { return address.storage.ss_family == AF_UNIX; }

}  // namespace iotax::driver
