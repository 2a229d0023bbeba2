// What can be told of a head that is unfinished or was refused: for logs only. Nothing that it says
// decides about the request, and more of it may be there the later one looks.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/events.h"

namespace iotax::core {

/// Of a request line, as far as it is recognised. Views into the text.
struct PartialLine {
  static constexpr std::size_t kMethodBytesMax = 32;
  static constexpr std::size_t kTargetBytesMax = 256;

  std::string_view method;   // a token with a space behind it, else empty: then so is the rest
  std::string_view target;   // its first octets, up to one that no target has
  std::string_view version;  // "HTTP/d.d", when the line ends behind it
};

/// `head` begins where a head begins, and may stop anywhere or go on behind its end.
[[nodiscard]] PartialLine partial_line(std::string_view head) noexcept;

/// The fields of `head` that tell where a request comes from, if the whole head is there: of a part
/// nobody knows what its rest would have said. Views into the text.
struct PartialOrigin {
  std::vector<Field> fields;    // in order, only those of Head::forwarded
  std::string_view request_id;  // as in Head
};
[[nodiscard]] PartialOrigin partial_origin(std::string_view head);

}  // namespace iotax::core
