// Whose X-Forwarded-* fields count (--forwarded-allow-ips), which of them (--forwarded-headers),
// and what they change in environ. Fields that are not believed stay plain HTTP_X_FORWARDED_*
// values (beyond 3.4).
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

/// Addresses that are trusted to say who their client is.
class TrustedPeers {
 public:
  /// "*", "unix", an address, or a network as "10.0.0.0/8". false: none of these, and nothing is
  /// added.
  [[nodiscard]] bool add(std::string_view entry);
  [[nodiscard]] bool contains(const driver::Peer& peer) const noexcept;
  /// An address in X-Forwarded-For: "*" stands for whoever connects, not for what the client wrote
  /// there.
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

/// Which of the fields of a trusted peer are believed. Many balancers set the first two, and pass
/// on the others as clients sent them.
struct BelievedFields {
  bool for_ = true;
  bool proto = true;
  bool host = false;
  bool port = false;
  bool prefix = false;

  /// "for", "proto", "host", "port" or "prefix". false: none of these, and nothing is added.
  [[nodiscard]] bool add(std::string_view name) noexcept;
  [[nodiscard]] static BelievedFields none() noexcept { return {.for_ = false, .proto = false}; }
};

/// What the forwarding fields of one request say, checked. Views into the fields.
struct Forwarding {
  std::string_view scheme;            // "http" or "https"; empty: unchanged, as below
  std::string_view address;           // the rightmost untrusted address of the chain
  std::string_view host;              // host[:port]
  std::string_view port;              // 1 to 65535
  std::optional<std::string> prefix;  // "" or "/..." without a slash at its end, decoded
  std::string_view bad_prefix;        // one that is ignored
};

/// The values of the fields as they stand in environ: repeats joined with ", ". Empty: absent.
struct ForwardedFields {
  std::string_view for_;
  std::string_view proto;
  std::string_view host;
  std::string_view port;
  std::string_view prefix;
};

/// Invalid values are left out, and so are fields that are not believed. With several values in a
/// field, the one that the chosen address's hop added counts, counted from the right like the
/// addresses.
[[nodiscard]] Forwarding resolve(ForwardedFields fields, const TrustedPeers& trusted,
                                 const BelievedFields& believed);

/// The address of resolve() for the fields of a request, as text of its own. Without the GIL.
[[nodiscard]] std::string client_address(std::span<const core::Field> fields,
                                         const TrustedPeers& trusted);

/// Writes a Forwarding of a trusted peer's request into environ. false: a Python exception is set.
[[nodiscard]] bool apply_forwarding(const Gil& gil, PyObject* environ,
                                    const Forwarding& forwarding);

/// The values of the forwarding fields in environ, as views into its strs.
[[nodiscard]] ForwardedFields forwarded_fields(const Gil& gil, PyObject* environ);

}  // namespace iotax::bridge
