// A proof is valid for the call that it was given to: it cannot be copied.
#include "driver/proof.h"

using namespace iotax::driver;

struct Later {
#ifdef IOTAX_MUST_NOT_COMPILE
  explicit Later(const Lead& given) : lead(given) {}
  Lead lead;
#else
  explicit Later(const Lead& /*given*/) {}
#endif
};

Later later(const Lead& lead) { return Later{lead}; }
