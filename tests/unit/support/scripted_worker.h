// A worker on the scripted system, with either poller. The templates are instantiated once, in
// scripted_worker_epoll.cc and scripted_worker_poll.cc, and not in each test: that takes 20 s.
#pragma once

#include "driver/os/poller_epoll.h"
#include "driver/os/poller_poll.h"
#include "driver/worker.h"
#include "support/scripted_sys.h"

namespace iotax::support {

template <class Poller>
using ScriptedWorker = driver::BasicWorker<ScriptedSys, Poller>;

}  // namespace iotax::support

namespace iotax::driver {

extern template class Loop<support::ScriptedSys, EpollPoller<support::ScriptedSys>>;
extern template class Loop<support::ScriptedSys, PollPoller<support::ScriptedSys>>;
extern template class BasicWorker<support::ScriptedSys, EpollPoller<support::ScriptedSys>>;
extern template class BasicWorker<support::ScriptedSys, PollPoller<support::ScriptedSys>>;

}  // namespace iotax::driver
