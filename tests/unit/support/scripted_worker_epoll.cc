#include "support/scripted_worker.h"

namespace iotax::driver {

template class Loop<support::ScriptedEnv>;
template class BasicWorker<support::ScriptedEnv>;

}  // namespace iotax::driver
