// What a program has printed, before its process ends without finalising Python. It decides how
// long that may take; it must not know why the process ends.
#pragma once

#include "core/instant.h"

namespace iotax::bridge {

/// Flush sys.stdout, sys.stderr and those of C, in a thread of its own: a thread of the application
/// that hangs may hold a stream, or Python. False: not within `timeout`; the process can be ended
/// all the same. Called without the GIL.
bool flush_standard_streams(core::Duration timeout) noexcept;

}  // namespace iotax::bridge
