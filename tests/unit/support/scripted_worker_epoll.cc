#include "support/scripted_worker.h"

namespace iotax::driver {

template class Loop<support::ScriptedSys, EpollPoller<support::ScriptedSys>>;
template class BasicWorker<support::ScriptedSys, EpollPoller<support::ScriptedSys>>;

}  // namespace iotax::driver
