// Searches text for expectations about responses.
#pragma once

#include <cstddef>
#include <string_view>

namespace iotax::support {

[[nodiscard]] inline std::size_t count(std::string_view text, std::string_view word) {
  std::size_t n = 0;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

[[nodiscard]] inline bool has(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

}  // namespace iotax::support
