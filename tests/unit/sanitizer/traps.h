// Functions with a mistake in them. In programs of tests only.
#pragma once

#include <cstddef>
#include <memory>

namespace iotax::traps {

/// Writes one octet behind a block of 8, when `index` is 8.
inline void overflow(std::size_t index) {
  const auto block = std::make_unique<volatile char[]>(8);
  block[index] = 1;
}

/// Overflows when `value` is the largest int.
inline int undefined(int value) {
  volatile int sum = value;
  sum = sum + 1;
  return sum;
}

}  // namespace iotax::traps
