#include "driver/worker.h"

namespace iotax::driver {

template class BasicWorker<Sys, EpollPoller<Sys>>;

}  // namespace iotax::driver
