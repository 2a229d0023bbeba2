// Why a head that the parser refused is refused: the fault is named from the text, by our rules, not from the parser's codes.
// It never accepts anything; that is decided before.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/fault.h"

namespace iotax::core {

/// A named fault of a text, and where.
struct Explanation {
  Fault fault = Fault::none;
  std::string_view shown;    // the part at fault, a view into the text
  std::size_t decided = 0;   // how much of the text it took to know
};

/// `text` starts at a request-line that is known to be refused, and may stop anywhere. Nothing as long as more text could still
/// change the answer, so that the fault is the same however the bytes were cut.
[[nodiscard]] std::optional<Explanation> explain_request_line(std::string_view text) noexcept;

/// `line` starts at a field line (or at the empty line) and its last octet is the one that was refused.
/// Faults of framing fields are not told apart here.
[[nodiscard]] Fault explain_field_line(std::string_view line) noexcept;

}  // namespace iotax::core
