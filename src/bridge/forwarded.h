// Whose X-Forwarded-* fields count, and what they change in environ (--forwarded-allow-ips). Fields
// of peers that are not trusted stay plain HTTP_X_FORWARDED_* values (beyond 3.4).
#pragma once

#include <Python.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/gil.h"
#include "bridge/ip_address.h"
#include "driver/application.h"

namespace iotax::bridge {

/// Addresses that are trusted to say who their client is.
class TrustedPeers {
 public:
  /// "*", "unix", an address, or a network as "10.0.0.0/8". false: none of these, and nothing is
  /// added.
  [[nodiscard]] bool add(std::string_view entry);
  [[nodiscard]] bool contains(std::string_view address) const noexcept;
  [[nodiscard]] bool contains(const driver::Peer& peer) const noexcept;

 private:
  struct Network {
    IpAddress base{};
    unsigned bits = 0;
  };
  std::vector<Network> networks_;
  bool everybody_ = false;
  bool unix_ = false;
};

/// What the forwarding fields of one request say, checked. Views into the fields.
struct Forwarding {
  std::string_view scheme;   // "http" or "https"; empty: unchanged, as below
  std::string_view address;  // the rightmost untrusted address of the chain
  std::string_view host;     // host[:port]
  std::string_view port;     // 1 to 65535
  std::optional<std::string_view>
      prefix;  // "" or "/..." without a slash at its end, still percent-encoded
};

/// The values of the fields as they stand in environ: repeats joined with ", ". Empty: absent.
struct ForwardedFields {
  std::string_view for_;
  std::string_view proto;
  std::string_view host;
  std::string_view port;
  std::string_view prefix;
};

/// Invalid values are left out. With several values in a field, the one that the chosen address's
/// hop added counts, counted from the right like the addresses.
[[nodiscard]] Forwarding resolve(const ForwardedFields& fields, const TrustedPeers& trusted);

/// Writes a Forwarding of a trusted peer's request into environ. false: a Python exception is set.
[[nodiscard]] bool apply_forwarding(const Gil& gil, PyObject* environ,
                                    const Forwarding& forwarding);

/// The values of the forwarding fields in environ, as views into its strs.
[[nodiscard]] ForwardedFields forwarded_fields(const Gil& gil, PyObject* environ);

}  // namespace iotax::bridge
