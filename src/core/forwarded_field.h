// The field Forwarded (RFC 7239). Finds its elements; does not know which of them are trusted.
#pragma once

#include <string_view>
#include <vector>

namespace iotax::core {

/// One hop. Values are without quotes, and empty if they are absent; those with a quoted-pair
/// stay as they are, since no address, scheme or host needs one. Views into the field.
struct ForwardedElement {
  std::string_view for_;
  std::string_view proto;
  std::string_view host;
};

/// Append the elements of one field line. false: it breaks the grammar of RFC 7239 §4, or names a
/// parameter twice in an element; `elements` may have grown.
[[nodiscard]] bool parse_forwarded(std::string_view line, std::vector<ForwardedElement>& elements);

[[nodiscard]] bool is_forwarded(std::string_view name) noexcept;

}  // namespace iotax::core
