#include "support/scripted_worker.h"

namespace iotax::driver {

template class Loop<support::ScriptedEnv>;
template class BasicWorker<support::ScriptedEnv>;

template class AppLock<support::ScriptedEnv>;
template class AppThread<support::ScriptedEnv>;
template class AppThreads<support::ScriptedEnv>;
template class BlockingIo<support::ScriptedEnv>;
template class CallRunner<support::ScriptedEnv>;
template class Dispatch<support::ScriptedEnv>;
template class Leader<support::ScriptedEnv>;
template class Overdue<support::ScriptedEnv>;
template class Spare<support::ScriptedEnv>;
template class Acceptor<support::ScriptedEnv>;
template class Closing<support::ScriptedEnv>;
template class Draining<support::ScriptedEnv>;
template class Handover<support::ScriptedEnv>;
template class RequestQueue<support::ScriptedEnv>;
template class SessionEvents<support::ScriptedEnv>;
template class SessionTable<support::ScriptedEnv>;
template class Intake<support::ScriptedEnv>;
template class Sender<support::ScriptedEnv>;
template class AccessLog<support::ScriptedEnv>;

}  // namespace iotax::driver
