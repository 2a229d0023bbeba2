// Whether a real descriptor is open.
#pragma once

#include <fcntl.h>

namespace iotax::support {

[[nodiscard]] inline bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace iotax::support
