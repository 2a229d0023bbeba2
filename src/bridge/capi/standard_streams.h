// Flushes the standard streams before the process exits without finalizing Python. It decides how
// long that may take; it must not know why the process exits.
#pragma once

#include "core/instant.h"

namespace iotax::bridge {

/// Flush sys.stdout, sys.stderr and those of C, in a separate thread: an application thread that
/// hangs may hold a stream's lock or the GIL. Returns false if this takes longer than `timeout`;
/// the process can exit anyway. Called without the GIL.
bool flush_standard_streams(core::Duration timeout) noexcept;

}  // namespace iotax::bridge
