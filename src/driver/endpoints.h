// The addresses of both ends of a connection as text.
#pragma once

#include <memory>
#include <string>

#include "core/proxy_header.h"
#include "driver/os/socket_address.h"

namespace iotax::driver {

/// A PROXY header, and the end of the socket that sent it.
struct ThroughProxy {
  core::ProxyHeader header;
  std::string remote_addr;
  std::string remote_port;
  bool unix_socket = false;
};

/// Both ends of a connection as text, made once per connection. For Unix sockets addresses are
/// empty and ports are "".
struct Peer {
  std::string remote_addr;  // of the client, without brackets
  std::string remote_port;
  std::string local_addr;  // of the socket
  std::string local_port;
  bool unix_socket = false;                     // the client's
  std::unique_ptr<const ThroughProxy> proxy{};  // null: there was no PROXY header
};

/// IPv4 addresses mapped into IPv6 (dual-stack listeners) are shown as IPv4.
[[nodiscard]] Peer peer_of(const SocketAddress& remote, const SocketAddress& local);

/// Take the client's end from `header`, unless it is about the proxy itself.
void take_proxy_header(Peer& peer, core::ProxyHeader header);

/// "127.0.0.1:35694", "[::1]:35694"; "unix" for Unix sockets.
[[nodiscard]] std::string peer_text(const Peer& peer);

}  // namespace iotax::driver
