// What is known about an incomplete or rejected head, for logs only. It decides nothing about the
// request; a later call may find more.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/events.h"

namespace iotax::core {

/// Parts of a request line that were recognized. Views into the text.
struct PartialLine {
  static constexpr std::size_t kMethodBytesMax = 32;
  static constexpr std::size_t kTargetBytesMax = 256;

  std::string_view method;   // a token followed by a space; empty: so are the others
  std::string_view target;   // its valid prefix: ends before the first byte that no target has
  std::string_view version;  // "HTTP/d.d", if the line ends after it
};

/// `head` starts at the start of a head, and may end anywhere or continue after its end.
[[nodiscard]] PartialLine partial_line(std::string_view head) noexcept;

/// The fields of `head` that identify the request's origin, only if the head is complete: the
/// missing part could change them. Views into the text.
struct PartialOrigin {
  std::vector<Field> fields;    // in order: those that count for Head::forwarded, traceparent
  std::string_view request_id;  // as in Head
};
[[nodiscard]] PartialOrigin partial_origin(std::string_view head);

}  // namespace iotax::core
