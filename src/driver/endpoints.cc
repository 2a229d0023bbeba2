#include "driver/endpoints.h"

#include <utility>

namespace iotax::driver {

Peer peer_of(const SocketAddress& remote, const SocketAddress& local) {
  NumericAddress there = numeric_address(remote);
  NumericAddress here = numeric_address(local);
  Peer peer;
  peer.remote_addr = std::move(there.address);
  peer.remote_port = std::move(there.port);
  peer.local_addr = std::move(here.address);
  peer.local_port = std::move(here.port);
  peer.unix_socket = is_unix(local);
  return peer;
}

void take_proxy_header(Peer& peer, core::ProxyHeader header) {
  auto through = std::make_unique<ThroughProxy>(
      ThroughProxy{std::move(header), peer.remote_addr, peer.remote_port, peer.unix_socket});
  const core::ProxyHeader& kept = through->header;
  if (kept.transport != core::ProxyTransport::local) {
    peer.unix_socket = kept.transport == core::ProxyTransport::unix_stream;
    peer.remote_addr = kept.source;
    peer.remote_port = peer.unix_socket ? "" : std::to_string(kept.source_port);
  }
  peer.proxy = std::move(through);
}

std::string peer_text(const Peer& peer) {
  if (peer.unix_socket) return "unix";
  if (peer.remote_addr.find(':') == std::string::npos)
    return peer.remote_addr + ':' + peer.remote_port;
  return '[' + peer.remote_addr + "]:" + peer.remote_port;
}

}  // namespace iotax::driver
