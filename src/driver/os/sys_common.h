// What the parts of Sys share: sys.cc has the calls that every POSIX system has, sys_linux.cc and
// sys_posix.cc the others, of which one is empty.
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

/// Milliseconds for poll() and epoll_wait(), rounded up; -1 for ever.
inline int to_ms(core::Duration d) noexcept {
  if (d == kForever) return -1;
  const std::int64_t ns = std::max<std::int64_t>(d.count(), 0);
  const std::int64_t ms = ns / 1'000'000 + (ns % 1'000'000 != 0 ? 1 : 0);
  return static_cast<int>(std::min<std::int64_t>(ms, INT_MAX));
}

/// A wait's return: the number of ready descriptors, 0 when interrupted.
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

// ---- by sys_linux.cc and sys_posix.cc
/// A new file, closed on exec, as mkstemp() makes it.
Result<int> make_file(std::string& pattern) noexcept;
/// Where threads can have names.
void name_thread(pthread_t thread, const char* name) noexcept;

}  // namespace iotax::driver::sys_common
