// Which peers' X-Forwarded-* and Forwarded headers are trusted (--forwarded-allow-ips), which of
// the headers (--forwarded-headers), and what they change in environ. Other such headers remain
// plain HTTP_X_FORWARDED_* and HTTP_FORWARDED values (beyond 3.4).
#pragma once

#include <Python.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/capi/gil.h"
#include "core/events.h"
#include "core/ip_address.h"
#include "driver/application.h"

namespace iotax::bridge {

/// Addresses that are trusted to name their client.
class TrustedPeers {
 public:
  /// "*", "unix", an address, or a network such as "10.0.0.0/8". false: `entry` is invalid and not
  /// added.
  [[nodiscard]] bool add(std::string_view entry);
  [[nodiscard]] bool contains(const driver::Peer& peer) const noexcept;
  /// An address in X-Forwarded-For: "*" trusts every peer that connects, but not the addresses that
  /// a client wrote into the header.
  [[nodiscard]] bool contains_hop(std::string_view address) const noexcept;

 private:
  struct Network {
    core::IpAddress base{};
    unsigned bits = 0;
  };
  std::vector<Network> networks_;
  bool everybody_ = false;
  bool unix_ = false;
};

/// Which headers of a trusted peer are used. Many load balancers set the first two and pass the
/// others through from the client.
struct BelievedFields {
  bool for_ = true;
  bool proto = true;
  bool host = false;
  bool port = false;
  bool prefix = false;
  bool forwarded = false;  // for, proto and host are those of Forwarded, not of X-Forwarded-*

  /// "for", "proto", "host", "port", "prefix" or "forwarded". false: `name` is invalid and not
  /// added.
  [[nodiscard]] bool add(std::string_view name) noexcept;
  [[nodiscard]] static BelievedFields none() noexcept { return {.for_ = false, .proto = false}; }
};

/// The checked values of one request's forwarding headers. Views into the headers.
struct Forwarding {
  std::string_view scheme;            // "http" or "https"; empty: unchanged, as below
  std::string_view address;           // the rightmost untrusted address of the chain
  std::string_view host;              // host[:port]
  std::string_view port;              // 1 to 65535
  std::optional<std::string> prefix;  // "" or "/..." without a trailing slash, decoded
  std::string_view bad_prefix;        // a prefix that was ignored
};

/// The values of the headers as in environ: repeats joined with ", ". Empty: absent.
struct ForwardedFields {
  std::string_view for_;
  std::string_view proto;
  std::string_view host;
  std::string_view port;
  std::string_view prefix;
  std::string_view forwarded;
};

/// Ignore invalid values and headers that are not trusted. If a header has several values, use the
/// one that the chosen address's hop added, counted from the right like the addresses.
[[nodiscard]] Forwarding resolve(ForwardedFields fields, const TrustedPeers& trusted,
                                 const BelievedFields& believed);

/// The address of resolve() for the fields of a request, as a copy; the fault of a Forwarded that
/// breaks its grammar: to repair it could mean to trust a client. Without the GIL.
[[nodiscard]] driver::ClientOrigin client_origin(std::span<const core::Field> fields,
                                                 const TrustedPeers& trusted,
                                                 const BelievedFields& believed);

/// Write a Forwarding of a trusted peer's request into environ. false: a Python exception is set.
[[nodiscard]] bool apply_forwarding(const Gil& gil, PyObject* environ,
                                    const Forwarding& forwarding);

/// The values of the forwarding fields in environ, as views into its strs.
[[nodiscard]] ForwardedFields forwarded_fields(const Gil& gil, PyObject* environ);

}  // namespace iotax::bridge
