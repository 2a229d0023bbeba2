// A transition uses the lead up: who lends it gives it out of hands.
#include <utility>

#include "driver/threads/leadership.h"

using namespace iotax::driver;

LeftLead lend(Leadership<NativeEnv>& leadership, Lead& lead) {
#ifdef IOTAX_MUST_NOT_COMPILE
  return leadership.lend(lead, 0);
#else
  return leadership.lend(std::move(lead), 0);
#endif
}
