// The Date of a response as text, formatted once per second. It must not know a clock.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/instant.h"

namespace iotax::driver {

/// IMF-fixdate (RFC 9110 §5.6.7), e.g. "Sun, 06 Nov 1994 08:49:37 GMT". Not thread-safe.
class DateCache {
 public:
  /// `unix_time` is the time since 1970-01-01T00:00:00Z. The view is valid until the next call.
  [[nodiscard]] std::string_view at(core::Duration unix_time) noexcept;

 private:
  static constexpr std::size_t kBytes = 29;
  std::array<char, kBytes> text_{};
  std::int64_t second_ = INT64_MIN;
};

}  // namespace iotax::driver
