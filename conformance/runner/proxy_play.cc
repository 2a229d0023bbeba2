#include "runner/proxy_play.h"

#include <cstdlib>
#include <utility>

namespace iotax::conformance {
namespace {

MeantProxyHeader as_meant(core::ProxyReader& reader, std::size_t bytes) {
  const core::ProxyHeader& read = reader.header();
  static constexpr const char* kNames[] = {"LOCAL", "TCP4", "TCP6", "UNIX"};
  MeantProxyHeader header;
  header.bytes = bytes;
  header.version = read.version;
  header.transport = kNames[static_cast<std::size_t>(read.transport)];
  header.source = read.source;
  header.destination = read.destination;
  header.source_port = read.source_port;
  header.destination_port = read.destination_port;
  header.tls = read.client_used_tls;
  std::string_view rest = read.tlvs;
  while (const auto tlv = core::take_tlv(rest)) header.tlvs.emplace_back(tlv->type, tlv->value);
  if (!rest.empty()) std::abort();
  return header;
}

}  // namespace

ProxyOutcome play_proxy_header(std::string_view bytes, const Cuts& cuts, bool eof) {
  using Found = core::ProxyReader::Found;
  core::ProxyReader reader(core::Instant{}, core::Duration::zero());
  ProxyOutcome outcome;
  std::size_t before = 0;
  Found found = Found::nothing_yet;
  for (const std::string_view piece : pieces(bytes, 0, cuts)) {
    std::size_t used = 0;
    if (!piece.empty()) found = reader.receive(piece, used);
    before += used;
    if (reader.buffered_bytes() > 2 * core::kProxyHeaderBytesMax) std::abort();
    if (found != Found::nothing_yet) break;
    if (used != piece.size()) std::abort();
  }
  if (found == Found::nothing_yet && eof) found = reader.receive_eof();
  if (found == Found::header) {
    outcome.verdict = ProxyVerdict::header;
    outcome.header = as_meant(reader, before);
  } else if (found == Found::fault) {
    outcome.verdict = ProxyVerdict::fault;
    outcome.fault = reader.fault();
  }
  return outcome;
}

}  // namespace iotax::conformance
