// The header of the PROXY protocol, which a proxy sends before the first request of a connection:
// bytes and time in, the client's address out. Does not know sockets, or which peers may send one.
// Source: proxy-protocol.txt of HAProxy, versions 1 (one line) and 2 (binary).
// Results depend on the bytes, never on how they were split: the fault whose byte comes first wins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/instant.h"

namespace iotax::core {

/// A line of version 1 with its line end, by the protocol.
inline constexpr std::size_t kProxyLineBytesMax = 107;
/// A header of version 2. The protocol allows 64 KiB; certificates in TLVs need a few.
inline constexpr std::size_t kProxyHeaderBytesMax = 16 * 1024;

/// How the client reached the proxy.
enum class ProxyTransport : std::uint8_t {
  local,  // the proxy speaks for itself (LOCAL, UNSPEC), or does not know (UNKNOWN)
  tcp4,
  tcp6,
  unix_stream,
};

/// Additional data of version 2.
struct ProxyTlv {
  std::uint8_t type = 0;
  std::string_view value;
};

struct ProxyHeader {
  int version = 1;
  ProxyTransport transport = ProxyTransport::local;
  // Of TCP. Addresses are in canonical form (RFC 5952), IPv4 addresses mapped into IPv6 as IPv4.
  std::string source;
  std::string destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  bool client_used_tls = false;  // TLV SSL
  std::string tlvs;              // checked; for take_tlv()
};

/// Remove the first TLV from `tlvs`. Nothing: there is none, or not a complete one.
[[nodiscard]] std::optional<ProxyTlv> take_tlv(std::string_view& tlvs) noexcept;

enum class ProxyFault : std::uint8_t {
  none,
  nothing,  // the connection ended before its first byte
  cut_off,  // and inside the header
  late,
  absent,  // other bytes, such as a request
  // version 1
  line_limit,
  line_form,
  line_family,
  line_address,
  line_port,
  // version 2
  version,
  command,
  family,
  header_limit,
  address_size,
  tlv_size,
  checksum,
};
inline constexpr int kProxyFaults = static_cast<int>(ProxyFault::checksum) + 1;

/// The rule in words, for the log; it continues "PROXY protocol on ADDRESS: ".
[[nodiscard]] std::string_view reason(ProxyFault fault) noexcept;

/// Reads one header. After a header or a fault it takes no more.
class ProxyReader {
 public:
  enum class Found : std::uint8_t { nothing_yet, header, fault };

  /// `timeout`: for the whole header, from `accepted` on; zero: no limit.
  ProxyReader(Instant accepted, Duration timeout) noexcept
      : deadline_(timeout == Duration::zero() ? kNever : accepted + timeout) {}

  /// Take bytes of the peer. With Found::header, `used` of them belong to the header.
  [[nodiscard]] Found receive(std::string_view bytes, std::size_t& used);
  /// The peer has shut down its sending side.
  [[nodiscard]] Found receive_eof() noexcept;
  [[nodiscard]] Found on_time(Instant now) noexcept;
  /// When to call on_time(); kNever: no limit.
  [[nodiscard]] Instant deadline() const noexcept { return deadline_; }

  /// After Found::header. The caller may move from it.
  [[nodiscard]] ProxyHeader& header() noexcept { return header_; }
  /// After Found::fault.
  [[nodiscard]] ProxyFault fault() const noexcept { return fault_; }
  /// The first bytes of the connection, for the log.
  [[nodiscard]] std::string_view beginning() const noexcept;
  /// Memory used for input, at most twice kProxyHeaderBytesMax (it grows by doubling).
  [[nodiscard]] std::size_t buffered_bytes() const noexcept { return seen_.capacity(); }

 private:
  [[nodiscard]] std::size_t wanted_of(std::string_view bytes) const noexcept;
  [[nodiscard]] Found judge();
  [[nodiscard]] Found judge_line();
  [[nodiscard]] Found judge_binary();
  [[nodiscard]] Found judge_tlvs(std::size_t begin);
  [[nodiscard]] bool checksum_holds(std::size_t value_at) const noexcept;
  [[nodiscard]] std::size_t number_at(std::size_t at) const noexcept;
  [[nodiscard]] Found fail(ProxyFault fault) noexcept {
    fault_ = fault;
    return Found::fault;
  }

  const Instant deadline_;
  std::string seen_;
  ProxyHeader header_;
  ProxyFault fault_ = ProxyFault::none;
};

}  // namespace iotax::core
