// The trace context of a request (W3C Trace Context, Level 1, section 3.2): which ids the logs
// name. It only reads: the application gets the fields as they are.
#pragma once

#include <span>
#include <string_view>

#include "core/events.h"

namespace iotax::core {

/// The parts of a valid traceparent. Views into its text.
struct TraceIds {
  std::string_view trace_id;  // 32 lower-case hex digits
  std::string_view span_id;   // 16
  std::string_view flags;     // 2
};

inline constexpr std::size_t kTraceParentBytes = 55;

/// The first kTraceParentBytes bytes of `value` if it is a valid traceparent; else empty.
[[nodiscard]] std::string_view valid_trace_parent(std::string_view value) noexcept;
/// The same for the field in a head; empty too if there are several.
[[nodiscard]] std::string_view trace_parent_of(std::span<const Field> fields) noexcept;
[[nodiscard]] bool is_trace_parent(std::string_view field_name) noexcept;
/// The parts of a text that valid_trace_parent() returned; all empty if it is empty.
[[nodiscard]] TraceIds trace_ids(std::string_view valid) noexcept;

}  // namespace iotax::core
