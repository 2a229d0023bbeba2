// Why the parser rejected a head: names the fault from the text, by the rules of http1-policy, not
// from llhttp's error codes. It never accepts anything; the head is already rejected.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/fault.h"

namespace iotax::core {

/// A fault in a text, and its location.
struct Diagnosis {
  Fault fault = Fault::none;
  std::string_view shown;   // the part at fault, a view into the text
  std::size_t decided = 0;  // bytes of text that were needed to decide
};

/// `text` starts at a request line that is known to be rejected, and may end anywhere. Returns
/// nothing while more text could change the result, so that the fault does not depend on how the
/// bytes were split.
[[nodiscard]] std::optional<Diagnosis> diagnose_request_line(std::string_view text) noexcept;

/// `text` starts at a field line of a head or of trailers, may contain more of them and may end
/// anywhere. Reports the first byte with invalid syntax, or nothing. Does not check what the fields
/// mean.
[[nodiscard]] std::optional<Diagnosis> diagnose_fields(std::string_view text) noexcept;

/// The same for a chunk line. RFC 9112 §7.1, http1-policy rules 26 and 27.
[[nodiscard]] std::optional<Diagnosis> diagnose_chunk_line(std::string_view text) noexcept;

}  // namespace iotax::core
