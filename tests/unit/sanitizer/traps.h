// Functions with deliberate errors, for test programs only.
#pragma once

#include <cstddef>
#include <memory>

namespace iotax::traps {

/// Write one byte after the end of a block of 8, if `index` is 8.
inline void overflow(std::size_t index) {
  const auto block = std::make_unique<volatile char[]>(8);
  block[index] = 1;
}

/// Overflow if `value` is the largest int.
inline int undefined(int value) {
  volatile int sum = value;
  sum = sum + 1;
  return sum;
}

}  // namespace iotax::traps
