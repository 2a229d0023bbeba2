// Socket addresses as text.
#pragma once

#include <string>

#include "driver/application.h"
#include "driver/os/sys.h"

namespace iotax::driver {

/// Both ends of a connection. IPv4 addresses mapped into IPv6 (dual-stack listeners) are shown as
/// IPv4.
[[nodiscard]] Peer peer_of(const SocketAddress& remote, const SocketAddress& local);

/// "127.0.0.1:35694", "[::1]:35694"; "unix" for UNIX sockets.
[[nodiscard]] std::string peer_text(const Peer& peer);

}  // namespace iotax::driver
