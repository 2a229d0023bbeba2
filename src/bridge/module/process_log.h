// The one log of the process: opened by the Python half, written to by every worker and by
// wsgi.errors. It decides how long it lives; how lines look and travel is the driver's.
#pragma once

#include <string>

#include "driver/log/log_sink.h"

namespace iotax::bridge {

/// Lives until the process ends: threads of the application may log while Python is finalised. What
/// comes before it is opened is dropped.
[[nodiscard]] driver::LogSink<driver::NativeEnv>& process_log();

/// Of "warning" and so on. Errors: ValueError.
[[nodiscard]] driver::Level level_of(const std::string& name);

}  // namespace iotax::bridge
