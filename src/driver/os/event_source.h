// What a registration with the poller belongs to. It must not know more of that than its kind.
#pragma once

#include <cstdint>

namespace iotax::driver {

/// What an event of the poller belongs to. The token of a registration points to one of these.
struct EventSource {
  enum class Kind : std::uint8_t { wakeup, channel, listener, session };
  explicit EventSource(Kind k) noexcept : kind(k) {}
  Kind kind;
};

}  // namespace iotax::driver
