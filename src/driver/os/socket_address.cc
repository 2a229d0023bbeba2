#include "driver/os/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace iotax::driver {
namespace {

std::string text_of(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, address, text.data(), text.size()) == nullptr ? "" : text.data();
}

template <class T>
SocketAddress stored(const T& address, std::size_t bytes = sizeof(T)) {
  SocketAddress whole;
  std::memcpy(&whole.storage, &address, bytes);
  whole.bytes = static_cast<socklen_t>(bytes);
  return whole;
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

std::optional<SocketAddress> internet_address(const std::string& address, std::uint16_t port,
                                              std::uint32_t scope) {
  sockaddr_in v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return stored(v4);
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    v6.sin6_scope_id = scope;
    return stored(v6);
  }
  return std::nullopt;
}

std::optional<SocketAddress> unix_address(std::string_view path) {
  sockaddr_un local{};
  if (path.empty() || path.size() >= sizeof local.sun_path) return std::nullopt;
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path.data(), path.size());
  return stored(local, offsetof(sockaddr_un, sun_path) + path.size() + 1);
}

bool is_unix(const SocketAddress& address) noexcept { return address.storage.ss_family == AF_UNIX; }

}  // namespace iotax::driver
