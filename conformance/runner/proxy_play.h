// Plays the bytes of a connection to the reader of the PROXY protocol, and shows its result as the
// model does.
#pragma once

#include <string_view>

#include "core/proxy_header.h"
#include "runner/cuts.h"
#include "runner/proxy_model.h"

namespace iotax::conformance {

struct ProxyOutcome {
  ProxyVerdict verdict = ProxyVerdict::unfinished;
  core::ProxyFault fault = core::ProxyFault::none;
  MeantProxyHeader header;

  friend bool operator==(const ProxyOutcome&, const ProxyOutcome&) = default;
};

/// `eof`: the peer shuts down its sending side after the bytes. Aborts if the reader buffers more
/// than it may.
[[nodiscard]] ProxyOutcome play_proxy_header(std::string_view bytes, const Cuts& cuts, bool eof);

}  // namespace iotax::conformance
