#include "driver/endpoints.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

namespace iotax::driver {
namespace {

struct End {
  std::string addr;
  std::string port;
};

std::string text_of(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, address, text.data(), text.size()) == nullptr ? "" : text.data();
}

End end_of(const SocketAddress& address) {
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

}  // namespace

Peer peer_of(const SocketAddress& remote, const SocketAddress& local) {
  End there = end_of(remote);
  End here = end_of(local);
  Peer peer;
  peer.remote_addr = std::move(there.addr);
  peer.remote_port = std::move(there.port);
  peer.local_addr = std::move(here.addr);
  peer.local_port = std::move(here.port);
  peer.unix_socket = local.storage.ss_family == AF_UNIX;
  return peer;
}

std::string peer_text(const Peer& peer) {
  if (peer.unix_socket) return "unix";
  if (peer.remote_addr.find(':') == std::string::npos)
    return peer.remote_addr + ':' + peer.remote_port;
  return '[' + peer.remote_addr + "]:" + peer.remote_port;
}

}  // namespace iotax::driver
