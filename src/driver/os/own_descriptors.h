// The server's descriptors in this process, which the child of a fork closes: in a child, an
// inherited socket, poller or temporary file would keep connections open, change what its parent
// waits for, and expose other clients' data. One list per process, as a fork copies the whole
// process. It must not know what they are for.
#pragma once

#include "driver/os/fd_table.h"

namespace iotax::driver {

/// Sys adds the descriptors that it opens; Sys::own() adds others. Sys::close() and UniqueFd remove
/// them.
[[nodiscard]] inline FdTable& own_descriptors() noexcept {
  static FdTable& table = *new FdTable;  // NOLINT(*-at-new): threads outlive statics
  return table;
}

}  // namespace iotax::driver
