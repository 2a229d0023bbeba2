// A session that is not lent belongs to the thread with the lead.
#include "driver/loop/session_events.h"

using namespace iotax::driver;

void bring_in_line(const Lead& lead, SessionEvents<NativeEnv>& events, Session<NativeEnv>& s) {
#ifdef IOTAX_MUST_NOT_COMPILE
  (void)lead;
  events.sync(s);
#else
  events.sync(lead, s);
#endif
}
