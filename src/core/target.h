// The rules of a request line that are about text: target and method; Host (http1-policy rules 7 to
// 13, 20). It sees whole pieces of text only and knows nothing of buffers, cuts or llhttp.
#pragma once

#include <string_view>

#include "core/fault.h"

namespace iotax::core {

/// The parts of a request target; views into it.
struct Target {
  std::string_view path;  // empty when an absolute-form target has none: "/" is meant
  std::string_view query;
  std::string_view authority;  // of an absolute-form target
  bool asterisk = false;
};

/// Origin-form, absolute-form and, for OPTIONS, asterisk-form. RFC 9112 §3.2, RFC 3986 §3.
[[nodiscard]] Fault parse_target(std::string_view target, std::string_view method,
                                 Target& parts) noexcept;

/// host [":" port], not empty, port up to 65535. RFC 9110 §7.2, RFC 3986 §3.2.2; http1-policy
/// rule 20.
[[nodiscard]] bool is_host(std::string_view text) noexcept;

/// A method that is passed on to the application, or CONNECT or TRACE.
[[nodiscard]] bool is_known_method(std::string_view method) noexcept;

}  // namespace iotax::core
