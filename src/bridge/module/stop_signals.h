// INT, TERM and QUIT of the process on their way to a worker while Python cannot run handlers: a
// hung application holds the main thread. It decides how sharp a stop a signal means; what stopping
// does is the driver's.
#pragma once

#include <cstdint>

#include "bridge/wsgi/call.h"
#include "driver/worker.h"

namespace iotax::bridge {

/// Whose the process is.
enum class Process : std::uint8_t {
  application,  // the server is a guest: INT and TERM are taken
  server,       // QUIT too
  worker,       // a supervisor gives the orders: TERM is reported to it
};

/// C handlers for the signals that `process` takes, on top of those that are installed (Python's),
/// which they call after them. One worker per process has them; a later call replaces it. Returns
/// an errno, or 0.
[[nodiscard]] int install_stop_signals(driver::Worker& worker, Caller& caller,
                                       Process process) noexcept;

/// The former handlers come back where ours are still installed. Nothing if `worker` does not have
/// the signals.
void restore_stop_signals(const driver::Worker& worker) noexcept;

/// In the child of a fork: the signals have their default effect, so that whoever forked the child
/// can end it.
void drop_stop_signals_in_child() noexcept;

}  // namespace iotax::bridge
