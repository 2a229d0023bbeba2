#include "support/scripted_worker.h"

namespace iotax::driver {

template class Loop<support::ScriptedSys, PollPoller<support::ScriptedSys>>;
template class BasicWorker<support::ScriptedSys, PollPoller<support::ScriptedSys>>;

}  // namespace iotax::driver
