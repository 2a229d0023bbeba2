// What a poller is: level-triggered readiness of descriptors, one registration each, and a way to
// wait beside its owner. Two implementations, EpollPoller and PollPoller, under one contract test.
// It must not know what a descriptor is for.
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

/// One ready descriptor. Events that nobody asked for are left out, but for `broken`, which cannot
/// be silenced: take a descriptor out with remove() to hear nothing of it.
struct Event {
  void* token = nullptr;
  bool readable = false;
  bool writable = false;
  bool hangup = false;  // the peer has shut down its sending side; told only with interest in
                        // reading, where the system can tell
  bool broken = false;  // error, or both directions are shut
};

/// How park() ended. Both false: the time-out, or an interruption.
struct Parked {
  bool ready = false;   // a descriptor of the poller is ready
  bool kicked = false;  // the kick descriptor is readable
};

/// What the loop asks of a poller. All calls but park() belong to the one thread that leads.
///
/// wait() never gives a descriptor twice in one call, and descriptors that do not fit into the span
/// come first in the next call, so that none starves. park_view() is taken by the leader; park()
/// then waits on it after the lead has gone, consumes nothing and touches no state of the poller.
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
