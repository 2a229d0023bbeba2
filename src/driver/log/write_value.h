// Numbers and times for the lines of the logs, written at a position with enough room. It must not
// know which line.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/instant.h"

namespace iotax::driver {

/// None of these writes more.
inline constexpr std::size_t kValueBytesMax = 32;

// Each returns the end of what it has written. A negative duration counts as 0.

[[nodiscard]] char* write_number(char* to, std::uint64_t value) noexcept;
/// Exactly `digits` digits, with zeros before the number.
[[nodiscard]] char* write_digits(char* to, std::uint64_t value, unsigned digits) noexcept;
/// 0.000288, rounded down to microseconds.
[[nodiscard]] char* write_seconds(char* to, core::Duration value) noexcept;
/// 2026-11-29T10:02:20.123, with 3 or 6 `decimals`; UTC.
[[nodiscard]] char* write_time(char* to, core::Duration unix_time, unsigned decimals) noexcept;
/// [29/Nov/2026:10:02:20 +0000], as in the Common Log Format.
[[nodiscard]] char* write_clf_time(char* to, core::Duration unix_time) noexcept;

}  // namespace iotax::driver
