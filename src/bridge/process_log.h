// The one log of the process: opened by the Python half, written to by every worker and by
// wsgi.errors.
#pragma once

#include "driver/log.h"

namespace iotax::bridge {

struct LogSettings {
  int error_fd = 2;   // borrowed; -1: none
  int access_fd = 1;  // borrowed; -1: none
  driver::Level level = driver::Level::info;
  bool color = false;
  bool prefix = false;  // time and PID before each line of the server log
};

/// Opens it, or opens it anew: what was written before goes to the former descriptors first.
void open_process_log(const LogSettings& settings);
/// Lives until the process ends. Before open_process_log() it writes to descriptors 1 and 2.
[[nodiscard]] driver::Log& process_log();

}  // namespace iotax::bridge
