// Abort a process whose internal state is wrong.
#include "core/check.h"

#include <cstdio>
#include <cstdlib>

namespace iotax::core {

void check_failed(const char* what, const char* file, int line) noexcept {
  std::fprintf(stderr, "iotax: internal error: %s (%s:%d)\n", what, file, line);
  std::abort();
}

}  // namespace iotax::core
