// The driver on the scripted system, with either poller.
#pragma once

#include "driver/env.h"
#include "support/scripted_sys.h"

namespace iotax::support {

struct ScriptedEnv {
  using Sys = ScriptedSys;
  using Poller = driver::EpollPoller<ScriptedSys>;
};

struct ScriptedPollEnv {
  using Sys = ScriptedSys;
  using Poller = driver::PollPoller<ScriptedSys>;
};

}  // namespace iotax::support
