// Files that this process has made and removes when it ends without Python: sockets, the pid file.
// It must not know what they are for.
#pragma once

#include <string>
#include <vector>

namespace iotax::bridge {

/// Remember the files at `paths` (absolute), in place of those of an earlier call. Called with the
/// GIL.
void remember_own_files(const std::vector<std::string>& paths);

/// Remove those that are still the same files. One that this user may not remove is emptied, so
/// that a pid file names no process. In a forked child nothing happens. Does not acquire the GIL,
/// because a call that does not return may hold it.
void remove_own_files() noexcept;

}  // namespace iotax::bridge
