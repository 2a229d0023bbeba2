// The one log of the process: opened by the Python half, written to by every worker and by
// wsgi.errors. It decides how long it lives; how lines look and travel is the driver's.
#pragma once

#include "driver/log_sink.h"

namespace iotax::bridge {

/// Lives until the process ends: threads of the application may log while Python is finalised. What
/// comes before it is opened is dropped.
[[nodiscard]] driver::LogSink<driver::Sys>& process_log();

}  // namespace iotax::bridge
