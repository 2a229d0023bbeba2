// A worker on the scripted system, with either poller, and its parts. The templates are
// instantiated once, in scripted_worker_epoll.cc and scripted_worker_poll.cc, and not in each test:
// that takes up to a minute.
#pragma once

#include "driver/worker.h"
#include "support/scripted_env.h"

namespace iotax::driver {

extern template class Loop<support::ScriptedEnv>;
extern template class Loop<support::ScriptedPollEnv>;
extern template class BasicWorker<support::ScriptedEnv>;
extern template class BasicWorker<support::ScriptedPollEnv>;

extern template class AppLock<support::ScriptedEnv>;
extern template class AppThread<support::ScriptedEnv>;
extern template class AppThreads<support::ScriptedEnv>;
extern template class BlockingIo<support::ScriptedEnv>;
extern template class CallRunner<support::ScriptedEnv>;
extern template class Dispatch<support::ScriptedEnv>;
extern template class Leader<support::ScriptedEnv>;
extern template class Overdue<support::ScriptedEnv>;
extern template class Spare<support::ScriptedEnv>;
extern template class Acceptor<support::ScriptedEnv>;
extern template class Closing<support::ScriptedEnv>;
extern template class Draining<support::ScriptedEnv>;
extern template class Handover<support::ScriptedEnv>;
extern template class RequestQueue<support::ScriptedEnv>;
extern template class SessionEvents<support::ScriptedEnv>;
extern template class SessionTable<support::ScriptedEnv>;
extern template class Intake<support::ScriptedEnv>;
extern template class Sender<support::ScriptedEnv>;
extern template class AccessLog<support::ScriptedEnv>;

}  // namespace iotax::driver
