// Only a worker that has taken the lead makes a Lead.
#include "driver/proof.h"

using namespace iotax::driver;

bool empty(const Lead& lead);

bool look(const Lead& lead) {
#ifdef IOTAX_MUST_NOT_COMPILE
  return empty(Lead{});
#else
  return empty(lead);
#endif
}
