#include "bridge/module/process_log.h"

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>

namespace iotax::bridge {
namespace {

struct ProcessLog {
  driver::Sys sys;
  driver::LogSink<driver::NativeEnv> sink{sys};
};

constexpr core::Duration kPatienceAtExit = std::chrono::seconds{1};

/// Other processes have a copy of a log whose lines they must not wait for: children of forks that
/// Python does not know.
std::atomic<pid_t> owner{0};

void flush_at_exit() {
  if (owner.load(std::memory_order_relaxed) == ::getpid())
    (void)process_log().flush(kPatienceAtExit);
}

}  // namespace

void own_process_log() noexcept {
  // If 32 other modules have used up the table, the log is written as far as the exit takes.
  [[maybe_unused]] static const bool registered = Py_AtExit(&flush_at_exit) == 0;
  owner.store(::getpid(), std::memory_order_relaxed);
}

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
