// Text rules of the request line: target, method and Host (http1-policy rules 7 to 13, 20). Sees
// complete pieces of text only and does not know buffers, splits or llhttp.
#pragma once

#include <string_view>

#include "core/fault.h"

namespace iotax::core {

/// The parts of a request target; views into it.
struct Target {
  std::string_view path;  // empty if an absolute-form target has none, which means "/"
  std::string_view query;
  std::string_view authority;  // of an absolute-form target
  bool asterisk = false;
};

/// Parse origin-form, absolute-form and, for OPTIONS, asterisk-form. RFC 9112 §3.2, RFC 3986 §3.
[[nodiscard]] Fault parse_target(std::string_view target, std::string_view method,
                                 Target& parts) noexcept;

/// Up to five digits, at most 65535; also empty (RFC 3986 §3.2.3).
[[nodiscard]] bool is_port(std::string_view text) noexcept;

/// host [":" port], not empty, port up to 65535. RFC 9110 §7.2, RFC 3986 §3.2.2; http1-policy
/// rule 20.
[[nodiscard]] bool is_host(std::string_view text) noexcept;

/// Whether the method is passed to the application, or is CONNECT or TRACE.
[[nodiscard]] bool is_known_method(std::string_view method) noexcept;

}  // namespace iotax::core
