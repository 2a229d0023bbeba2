// Passes SIGINT, SIGTERM and SIGQUIT to a worker while Python cannot run its handlers because a
// hung application holds the main thread. It decides which kind of stop a signal requests; the
// driver stops.
#pragma once

#include <cstdint>

#include "bridge/wsgi/call.h"
#include "driver/worker.h"

namespace iotax::bridge {

/// The owner of the process.
enum class Process : std::uint8_t {
  application,  // the server is a guest in it: INT and TERM are handled
  server,       // QUIT is handled too
  worker,       // a supervisor controls it: TERM is reported to the supervisor
};

/// Install C handlers for the signals that `process` handles. They call the previous handlers
/// (Python's) after their own work. One worker per process has them; a later call replaces it.
/// Returns an errno, or 0.
[[nodiscard]] int install_stop_signals(driver::Worker& worker, Caller& caller,
                                       Process process) noexcept;

/// Restore the previous handlers where ours are still installed. Does nothing if `worker` does not
/// have the signals.
void restore_stop_signals(const driver::Worker& worker) noexcept;

/// In the child of a fork: restore the default action of the signals, so that the process that
/// forked the child can end it.
void drop_stop_signals_in_child() noexcept;

}  // namespace iotax::bridge
