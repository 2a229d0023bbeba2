// The addresses of both ends of a connection as text.
#pragma once

#include <string>

#include "driver/os/socket_address.h"

namespace iotax::driver {

/// Both ends of a connection as text, made once per connection. For Unix sockets addresses are
/// empty and ports are "".
struct Peer {
  std::string remote_addr;  // without brackets
  std::string remote_port;
  std::string local_addr;
  std::string local_port;
  bool unix_socket = false;
};

/// IPv4 addresses mapped into IPv6 (dual-stack listeners) are shown as IPv4.
[[nodiscard]] Peer peer_of(const SocketAddress& remote, const SocketAddress& local);

/// "127.0.0.1:35694", "[::1]:35694"; "unix" for Unix sockets.
[[nodiscard]] std::string peer_text(const Peer& peer);

}  // namespace iotax::driver
