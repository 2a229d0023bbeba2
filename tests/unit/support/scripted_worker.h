// A worker on the scripted system, with either poller. The templates are instantiated once, in
// scripted_worker_epoll.cc and scripted_worker_poll.cc, and not in each test: that takes 20 s.
#pragma once

#include "driver/worker.h"
#include "support/scripted_env.h"

namespace iotax::driver {

extern template class Loop<support::ScriptedEnv>;
extern template class Loop<support::ScriptedPollEnv>;
extern template class BasicWorker<support::ScriptedEnv>;
extern template class BasicWorker<support::ScriptedPollEnv>;

}  // namespace iotax::driver
