#include "core/trace_context.h"

#include <algorithm>

#include "core/text.h"

namespace iotax::core {
namespace {

// "00-" trace id "-" span id "-" flags
constexpr std::size_t kTraceIdAt = 3, kTraceIdBytes = 32;
constexpr std::size_t kSpanIdAt = 36, kSpanIdBytes = 16;
constexpr std::size_t kFlagsAt = 53;

/// Upper case is invalid.
bool is_hex(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) noexcept {
  return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::string_view valid_trace_parent(std::string_view value) noexcept {
  if (value.size() < kTraceParentBytes) return {};
  const std::string_view version = value.substr(0, 2);
  if (!is_hex(version) || version == "ff") return {};
  // A later version may have more parts.
  if (value.size() > kTraceParentBytes && (version == "00" || value[kTraceParentBytes] != '-'))
    return {};
  value = value.substr(0, kTraceParentBytes);
  for (const std::size_t dash : {kTraceIdAt, kSpanIdAt, kFlagsAt}) {
    if (value[dash - 1] != '-') return {};
  }
  const TraceIds ids = trace_ids(value);
  return is_id(ids.trace_id) && is_id(ids.span_id) && is_hex(ids.flags) ? value
                                                                        : std::string_view();
}

std::string_view trace_parent_of(std::span<const Field> fields) noexcept {
  const Field* found = nullptr;
  for (const Field& field : fields) {
    if (!is_trace_parent(field.name)) continue;
    if (found != nullptr) return {};
    found = &field;
  }
  return found == nullptr ? std::string_view() : valid_trace_parent(found->value);
}

bool is_trace_parent(std::string_view field_name) noexcept {
  return same_token(field_name, "traceparent");
}

TraceIds trace_ids(std::string_view valid) noexcept {
  if (valid.empty()) return {};
  return {valid.substr(kTraceIdAt, kTraceIdBytes), valid.substr(kSpanIdAt, kSpanIdBytes),
          valid.substr(kFlagsAt)};
}

}  // namespace iotax::core
