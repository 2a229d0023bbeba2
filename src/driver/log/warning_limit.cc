#include "driver/log/warning_limit.h"

namespace iotax::driver {

std::string WarningLimit::counted(std::uint64_t lines) {
  return std::to_string(lines) +
         (lines == 1 ? " more such line was left out" : " more such lines were left out");
}

}  // namespace iotax::driver
