// INT, TERM and QUIT of the process on their way to a worker while Python cannot run handlers: a
// hung application holds the main thread. It decides how sharp a stop a signal means; what stopping
// does is the driver's.
#pragma once

#include "bridge/call.h"
#include "driver/worker.h"

namespace iotax::bridge {

/// C handlers for INT and TERM, and for QUIT if `quit_too`, on top of those that are installed
/// (Python's), which they call after them. One worker per process has them; a later call replaces
/// it. Returns an errno, or 0.
[[nodiscard]] int install_stop_signals(driver::Worker& worker, Caller& caller,
                                       bool quit_too) noexcept;

/// The former handlers come back where ours are still installed. Nothing if `worker` does not have
/// the signals.
void restore_stop_signals(const driver::Worker& worker) noexcept;

/// In the child of a fork: the signals have their default effect, so that whoever forked the child
/// can end it.
void drop_stop_signals_in_child() noexcept;

}  // namespace iotax::bridge
