// Earlier output is the leader's, or is touched under the mutex.
#include <string>

#include "driver/os/sys.h"
#include "driver/session/session.h"

using namespace iotax::driver;

bool look(const Lead& lead, const Session<Sys>& s) {
#ifdef IOTAX_MUST_NOT_COMPILE
  (void)lead;
  return s.earlier.empty();
#else
  return s.earlier.empty(lead);
#endif
}
