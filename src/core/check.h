// Assertions that stay on in release builds and abort the process. No client input may trigger one.
#pragma once

namespace iotax::core {

[[noreturn]] void check_failed(const char* what, const char* file, int line) noexcept;

}  // namespace iotax::core

#define IOTAX_CHECK(cond) \
  (static_cast<bool>(cond) ? void() : ::iotax::core::check_failed(#cond, __FILE__, __LINE__))
