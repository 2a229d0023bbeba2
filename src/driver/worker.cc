#include "driver/worker.h"

namespace iotax::driver {

template class BasicWorker<NativeEnv>;

}  // namespace iotax::driver
