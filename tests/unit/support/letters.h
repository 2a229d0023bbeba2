// Texts for functions that read in words: every length up to that of several words.
#pragma once

#include <cstddef>
#include <string>

namespace iotax::support {

inline constexpr std::size_t kLongest = 40;

[[nodiscard]] inline std::string letters(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += static_cast<char>('a' + i % 26);
  return text;
}

}  // namespace iotax::support
