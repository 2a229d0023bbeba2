// Where descriptors lie that the server holds for its clients: connections, temporary files, files
// that are being sent. It decides when they get numbers above the soft limit; it must not know what
// they are for.
//
// The soft limit (`ulimit -n`, often 1024) is the user's. Children inherit it by whatever call they
// are started (fork, vfork, posix_spawn), and programs that use select() or close all that may be
// open rely on it. So the limit is never raised for good, but for the microsecond in which a
// descriptor gets a number above it. The kernel gives the lowest free number: the lower half of
// those below the limit is shared with the application, the upper half is the application's alone.
#pragma once

#include <cerrno>
#include <cstddef>

#include "driver/os/result.h"

namespace iotax::driver {

/// How many descriptors this process may have: the hard limit, or the soft one where that cannot be
/// raised. Call it before the first of the others: they do nothing until then.
[[nodiscard]] std::size_t measure_descriptor_limit() noexcept;

/// Raises the soft limit to the hard one while it lives. False: there is nothing to raise.
/// Thread-safe.
class RaisedLimit {
 public:
  RaisedLimit() noexcept;
  RaisedLimit(const RaisedLimit&) = delete;
  ~RaisedLimit();
  explicit operator bool() const noexcept { return raised_; }

 private:
  bool raised_ = false;
};

/// `fd`, or a duplicate above the soft limit when it lies in the application's half; then `fd` is
/// closed. The duplicate is close-on-exec.
[[nodiscard]] int out_of_the_way(int fd) noexcept;

/// A new descriptor that `make` opens, out of the application's way.
template <class Make>
[[nodiscard]] Result<int> with_room(Make make) noexcept {
  Result<int> fd = make();
  if (!fd && fd.error() == EMFILE) {
    const RaisedLimit raised;
    if (raised) fd = make();
  }
  if (fd) return out_of_the_way(*fd);
  return fd;
}

/// In the child of a fork: lower the limit, if another thread had just raised it.
/// Async-signal-safe.
void restore_descriptor_limit_in_child() noexcept;

}  // namespace iotax::driver
