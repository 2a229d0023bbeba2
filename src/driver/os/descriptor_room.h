// Numbers of the descriptors that the server uses for its clients: connections, temporary files,
// files being sent. It decides when they get numbers above the soft limit; it must not know what
// they are for.
//
// The soft limit (`ulimit -n`, often 1024) is the user's. Child processes inherit it whatever call
// starts them (fork, vfork, posix_spawn), and programs that use select() or close all possible
// descriptors rely on it. So the limit is raised only for the microsecond in which a descriptor
// gets a number above it. The kernel assigns the lowest free number: the server shares the lower
// half of those below the limit with the application and avoids the upper half.
#pragma once

#include <cerrno>
#include <cstddef>

#include "driver/os/result.h"

namespace iotax::driver {

/// Measure how many descriptors this process may have: the hard limit, or the soft one if that
/// cannot be raised. Call it before the other functions, which do nothing until then.
[[nodiscard]] std::size_t measure_descriptor_limit() noexcept;

/// Raises the soft limit to the hard one during its lifetime. False: it is not raised. Thread-safe.
class RaisedLimit {
 public:
  RaisedLimit() noexcept;
  RaisedLimit(const RaisedLimit&) = delete;
  ~RaisedLimit();
  explicit operator bool() const noexcept { return raised_; }

 private:
  bool raised_ = false;
};

/// Return `fd`, or, if `fd` is in the application's half, a duplicate above the soft limit; then
/// `fd` is closed. The duplicate is close-on-exec.
[[nodiscard]] int out_of_the_way(int fd) noexcept;

/// Open a descriptor with `make` and move it out of the application's half.
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

/// For the child of a fork: lower the limit if another thread had just raised it.
/// Async-signal-safe.
void restore_descriptor_limit_in_child() noexcept;

}  // namespace iotax::driver
