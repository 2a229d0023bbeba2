// Which descriptors of this process are the server's, so that the child of a fork closes them: a
// socket, a poller or a temporary file that lives on in a child keeps connections open, lets the
// child change what its parent waits for, and shows it other clients' content. One list for the
// process, as a fork copies the whole process. It must not know what they are for.
#pragma once

#include "driver/os/fd_table.h"

namespace iotax::driver {

/// What Sys opens is on it, and what Sys::own() adds; what is closed by Sys::close() or UniqueFd is
/// off it.
[[nodiscard]] inline FdTable& own_descriptors() noexcept {
  static FdTable& table = *new FdTable;  // NOLINT(*-at-new): for ever, threads outlive statics
  return table;
}

}  // namespace iotax::driver
