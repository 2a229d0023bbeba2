// The thread that runs a request makes no outbox while the leader may look for one.
#include <string>

#include "driver/env.h"
#include "driver/session/sender.h"

using namespace iotax::driver;

void make(const Lead& lead, Session<NativeEnv>& s, Sys& sys, StorageBudget& budget,
          const iotax::core::Limits& limits) {
  const std::string dir;
#ifdef IOTAX_MUST_NOT_COMPILE
  (void)lead;
  s.link.outbox.get_or_make(sys, s.link.wire, budget, dir, 1024U, limits);
#else
  s.link.outbox.get_or_make(lead, sys, s.link.wire, budget, dir, 1024U, limits);
#endif
}
