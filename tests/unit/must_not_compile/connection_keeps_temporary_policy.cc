// A connection borrows its limits and its policy: temporaries do not compile.
#include "core/connection.h"

using namespace iotax::core;

Connection* borrow(const Limits& limits, const Policy& policy, Instant now) {
#ifdef IOTAX_MUST_NOT_COMPILE
  static Connection connection(limits, Policy{}, now);
#else
  static Connection connection(limits, policy, now);
#endif
  return &connection;
}
