// A second, plain implementation of the PROXY protocol, which shares no code with src/core: all
// bytes of a connection in, the meaning of its header out.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotax::conformance {

struct MeantProxyHeader {
  std::size_t bytes = 0;
  int version = 0;
  std::string transport;  // "TCP4", "TCP6", "UNIX", "LOCAL"
  std::string source, destination;
  unsigned source_port = 0, destination_port = 0;
  bool tls = false;
  std::vector<std::pair<unsigned, std::string>> tlvs;

  friend bool operator==(const MeantProxyHeader&, const MeantProxyHeader&) = default;
};

enum class ProxyVerdict { header, fault, unfinished };

/// `header` is set if there is one.
[[nodiscard]] ProxyVerdict proxy_header_of(std::string_view bytes, MeantProxyHeader& header);

}  // namespace iotax::conformance
