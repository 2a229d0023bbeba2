// Why a head that the parser refused is refused: the fault is named from the text, by our rules,
// not from the parser's codes. It never accepts anything; that is decided before.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/fault.h"

namespace iotax::core {

/// A named fault of a text, and where.
struct Diagnosis {
  Fault fault = Fault::none;
  std::string_view shown;   // the part at fault, a view into the text
  std::size_t decided = 0;  // how much of the text it took to know
};

/// `text` starts at a request-line that is known to be refused, and may stop anywhere. Nothing as
/// long as more text could still change the answer, so that the fault is the same however the bytes
/// were cut.
[[nodiscard]] std::optional<Diagnosis> diagnose_request_line(std::string_view text) noexcept;

/// `text` starts at a field line, of a head or of trailers, and may hold more of them and stop
/// anywhere: the first octet that breaks their form. Nothing when the form is kept; what the fields
/// mean is not looked at.
[[nodiscard]] std::optional<Diagnosis> diagnose_fields(std::string_view text) noexcept;

/// The same for a chunk line. RFC 9112 §7.1, http1-policy rules 26 and 27.
[[nodiscard]] std::optional<Diagnosis> diagnose_chunk_line(std::string_view text) noexcept;

}  // namespace iotax::core
