// The owner of a registration with the poller. It must know only the kind of the owner.
#pragma once

#include <cstdint>

namespace iotax::driver {

/// The owner of an event of the poller. The token of a registration points to it.
struct EventSource {
  enum class Kind : std::uint8_t { wakeup, channel, listener, session };
  explicit EventSource(Kind k) noexcept : kind(k) {}
  Kind kind;
};

}  // namespace iotax::driver
