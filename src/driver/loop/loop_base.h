// What the parts of a loop share: system calls, time, the poller, and the mode. It decides nothing.
#pragma once

#include <array>
#include <cstddef>

#include "driver/config.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/loop/loop_clock.h"
#include "driver/loop/mode.h"
#include "driver/os/timers.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax::driver {

/// For the leader only, except what LoopClock and Log allow to other threads.
template <Env E>
struct LoopBase {
  static constexpr std::size_t kReceiveBytes = 64 * 1024;

  LoopBase(typename E::Sys& system, const Config& configuration, Log& lines, const Slot& its)
      : sys(system), config(configuration), log(lines), slot(its), clock(system, lines, slot) {}
  LoopBase(LoopBase&&) = delete;

  typename E::Sys& sys;
  const Config& config;
  Log& log;
  const Slot slot;
  LoopClock<E> clock;
  typename E::Poller poller;
  Timers timers;
  Mode mode;
  std::array<std::byte, kReceiveBytes> received;  // by one recv(), until the machine has taken it
};

}  // namespace iotax::driver
