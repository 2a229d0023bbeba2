// The contract of pollers: level-triggered readiness of descriptors, one registration each, and a
// way to wait next to the owner. One contract test covers both implementations, EpollPoller and
// PollPoller. It must not know what a descriptor is for.
#pragma once

#include <cstddef>
#include <span>

#include "core/instant.h"
#include "driver/os/result.h"
#include "driver/os/sys.h"

namespace iotax::driver {

struct Interest {
  bool read = false;
  bool write = false;
};

/// One ready descriptor. Only events of its interest are reported, and `broken`, which cannot be
/// masked: remove() the descriptor to get no more events.
struct Event {
  void* token = nullptr;
  bool readable = false;
  bool writable = false;
  bool hangup = false;  // the peer has shut down its sending side; reported only with interest in
                        // reading, if the kernel can tell
  bool broken = false;  // error, or both directions are shut
};

/// How park() ended. Both false: a timeout or an interruption.
struct Parked {
  bool ready = false;   // a descriptor of the poller is ready
  bool kicked = false;  // the kick descriptor is readable
};

/// Requirements of the loop on a poller. Only the leader makes calls other than park().
///
/// wait() never returns a descriptor twice in one call. Descriptors that do not fit into the span
/// come first in the next call, so that none starves. The leader takes park_view(); park() then
/// waits on it without the lead, consumes no event and does not touch the state of the poller.
template <class P>
concept PollerLike = requires(P& p, const P& fixed, typename P::Sys& sys, int fd, void* token,
                              Interest interest, std::span<Event> into, core::Duration timeout,
                              typename P::Parking& view) {
  { p.open(sys) } -> std::same_as<Result<void>>;
  { p.close() } -> std::same_as<void>;
  { p.add(fd, token, interest) } -> std::same_as<Result<void>>;
  { p.modify(fd, token, interest) } -> std::same_as<Result<void>>;
  { p.remove(fd) } -> std::same_as<void>;
  { p.wait(into, timeout) } -> std::same_as<Result<std::size_t>>;
  { fixed.park_view() } -> std::same_as<typename P::Parking>;
  { fixed.park(view, fd, timeout) } -> std::same_as<Result<Parked>>;
};

}  // namespace iotax::driver
