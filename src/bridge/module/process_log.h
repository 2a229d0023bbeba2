// The one log of the process: opened by the Python half, written to by every worker and by
// wsgi.errors. It decides the log's lifetime; the driver formats and writes lines.
#pragma once

#include <string>

#include "driver/log/log_sink.h"

namespace iotax::bridge {

/// Exists until the process exits: application threads may log while Python is finalized. Lines
/// logged before it is opened are dropped.
[[nodiscard]] driver::LogSink<driver::NativeEnv>& process_log();

/// This process writes the log: when Python has been finalized, wait until what remains is written.
/// Call it when the module is initialized, and in the child of a fork after abandon_in_child().
void own_process_log() noexcept;

/// Level by name: "warning" and so on. Errors: ValueError.
[[nodiscard]] driver::Level level_of(const std::string& name);

}  // namespace iotax::bridge
