// Checks of our own work, on in release: a failed one names itself and ends the process. Nothing a
// peer sends may reach one.
#pragma once

namespace iotax::core {

[[noreturn]] void check_failed(const char* what, const char* file, int line) noexcept;

}  // namespace iotax::core

#define IOTAX_CHECK(cond) \
  (static_cast<bool>(cond) ? void() : ::iotax::core::check_failed(#cond, __FILE__, __LINE__))
