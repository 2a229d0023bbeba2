// Only with_lock() makes a Locked: it cannot be had without the mutex.
#include <mutex>

#include "driver/proof.h"

using namespace iotax::driver;

bool empty(LeadOrLocked proof);

bool look(StateMutex<NativeEnv>& mutex) {
#ifdef IOTAX_MUST_NOT_COMPILE
  const std::lock_guard lock(mutex);
  return empty(Locked{});
#else
  return mutex.with_lock([](const Locked& locked) { return empty(locked); });
#endif
}
