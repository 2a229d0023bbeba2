#include "core/partial_head.h"

#include <algorithm>

#include "core/char_class.h"
#include "core/field_rules.h"
#include "core/forwarded_field.h"
#include "core/trace_context.h"

namespace iotax::core {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

bool is_version(std::string_view text) noexcept {
  return text.size() == 8 && text.starts_with("HTTP/") && is(text[5], kDigit) && text[6] == '.' &&
         is(text[7], kDigit);
}

}  // namespace

PartialLine partial_line(std::string_view head) noexcept {
  PartialLine found;
  const std::size_t end = head.find(kLineEnd);
  std::string_view line = head.substr(0, end);
  const std::size_t method = run_of(line, kToken);
  if (method == 0 || method == line.size() || line[method] != ' ') return found;
  found.method = line.substr(0, std::min(method, PartialLine::kMethodBytesMax));
  line.remove_prefix(method + 1);
  const auto* const behind =
      std::find_if(line.begin(), line.end(), [](char c) { return c <= ' ' || c >= '\x7F'; });
  const auto target = static_cast<std::size_t>(behind - line.begin());
  found.target = line.substr(0, std::min(target, PartialLine::kTargetBytesMax));
  line.remove_prefix(target);
  if (end != std::string_view::npos && line.starts_with(' ') && is_version(line.substr(1)))
    found.version = line.substr(1);
  return found;
}

PartialOrigin partial_origin(std::string_view head) {
  PartialOrigin found;
  std::size_t at = head.find(kLineEnd);
  const std::size_t end = head.find("\r\n\r\n");
  while (end != std::string_view::npos && at < end) {
    at += kLineEnd.size();
    const std::size_t next = head.find(kLineEnd, at);
    const std::string_view line = head.substr(at, next - at);
    at = next;
    const std::size_t colon = std::min(line.find(':'), line.size());
    if (colon == line.size()) continue;
    const Field field{line.substr(0, colon), trimmed(line.substr(colon + 1))};
    if (is_forwarded_for(field.name) || is_forwarded(field.name) || is_trace_parent(field.name))
      found.fields.push_back(field);
    if (found.request_id.empty() && is_request_id(field)) found.request_id = field.value;
  }
  return found;
}

}  // namespace iotax::core
