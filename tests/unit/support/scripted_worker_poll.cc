#include "support/scripted_worker.h"

namespace iotax::driver {

template class Loop<support::ScriptedPollEnv>;
template class BasicWorker<support::ScriptedPollEnv>;

}  // namespace iotax::driver
