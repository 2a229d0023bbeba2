#include "bridge/module/process_log.h"

#include <pybind11/pybind11.h>

#include <memory>

namespace iotax::bridge {
namespace {

struct ProcessLog {
  driver::Sys sys;
  driver::LogSink<driver::NativeEnv> sink{sys};
};

}  // namespace

driver::LogSink<driver::NativeEnv>& process_log() {
  static ProcessLog* const log = std::make_unique<ProcessLog>().release();  // never destroyed
  return log->sink;
}

driver::Level level_of(const std::string& name) {
  if (name == "debug") return driver::Level::debug;
  if (name == "info") return driver::Level::info;
  if (name == "warning") return driver::Level::warning;
  if (name == "error") return driver::Level::error;
  if (name == "critical") return driver::Level::critical;
  throw pybind11::value_error("level is '" + name +
                              "'; it can be 'debug', 'info', 'warning', 'error' or 'critical'");
}

}  // namespace iotax::bridge
