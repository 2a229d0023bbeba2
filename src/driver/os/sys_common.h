// What the parts of Sys share: sys.cc has the calls that every POSIX system has; sys_linux.cc or
// sys_posix.cc has the others, and the other file is empty.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <string>

#include "driver/os/own_descriptors.h"
#include "driver/os/sys.h"

namespace iotax::driver::sys_common {

/// Milliseconds for poll() and epoll_wait(), rounded up; -1: forever.
inline int to_ms(core::Duration d) noexcept {
  if (d == kForever) return -1;
  const std::int64_t ns = std::max<std::int64_t>(d.count(), 0);
  const std::int64_t ms = ns / 1'000'000 + (ns % 1'000'000 != 0 ? 1 : 0);
  return static_cast<int>(std::min<std::int64_t>(ms, INT_MAX));
}

/// Convert the return value of a wait: the number of ready descriptors, 0 when interrupted.
inline Result<std::size_t> waited(int got) noexcept {
  if (got >= 0) return static_cast<std::size_t>(got);
  if (errno == EINTR) return std::size_t{0};
  return Errno{errno};
}

inline Result<void> done(int got) noexcept {
  if (got < 0) return Errno{errno};
  return {};
}

template <class T>
Result<void> set_option(int fd, int level, int name, const T& value) noexcept {
  return done(::setsockopt(fd, level, name, &value, sizeof value));
}

inline Result<int> owned(Result<int> fd) noexcept {
  if (fd) (void)own_descriptors().add(*fd);
  return fd;
}

// ---- implemented by sys_linux.cc and sys_posix.cc
/// Create a file like mkstemp(), close-on-exec.
Result<int> make_file(std::string& pattern) noexcept;
/// A new socket for datagrams: non-blocking, close-on-exec.
Result<int> make_datagram_socket(int family) noexcept;
/// Does nothing where threads cannot have names.
void name_thread(pthread_t thread, const char* name) noexcept;

}  // namespace iotax::driver::sys_common
