// The queue belongs to the thread that has the mutex.
#include "driver/threads/dispatch.h"

using namespace iotax::driver;

bool look(Dispatch<NativeEnv>& dispatch, StateMutex<NativeEnv>& mutex) {
#ifdef IOTAX_MUST_NOT_COMPILE
  (void)mutex;
  return dispatch.has_queued();
#else
  return mutex.with_lock([&](const Locked& locked) { return dispatch.has_queued(locked); });
#endif
}
