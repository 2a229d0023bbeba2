// Tuning constants of the lead and of the application lock. Each was measured on a prototype, and
// its comment names the trade-off.
#pragma once

#include "core/instant.h"

namespace iotax::driver {

using namespace std::chrono_literals;

struct LeadTuning {
  core::Duration tick = 1ms;  // of the watch; a call that outlasts one to two ticks loses the lead
  core::Duration slow = 1ms;  // a call longer than this counts as slow
  core::Duration flush_after = 200us;  // from the first unsent response of a turn
  core::Duration busy_after =
      100us;  // a call longer than this ends the turn's calls while a late thread exists
  core::Duration long_wait =
      500us;  // waiting longer than this for the application lock earns a credit of the same length
  core::Duration patience = 100us;  // how long an empty poll waits while such a credit lasts
  core::Duration slice = 100us;     // requested for the spare (Linux 6.12 and later)
  unsigned quiet_ticks = 10;        // ticks without a new lend until the watch sleeps
};

}  // namespace iotax::driver
