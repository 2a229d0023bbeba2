// Earlier output is the leader's, or is touched under the mutex.
#include <string>

#include "driver/env.h"
#include "driver/session/session.h"

using namespace iotax::driver;

bool look(const Lead& lead, const Session<NativeEnv>& s) {
#ifdef IOTAX_MUST_NOT_COMPILE
  (void)lead;
  return s.link.earlier_output.empty();
#else
  return s.link.earlier_output.empty(lead);
#endif
}
