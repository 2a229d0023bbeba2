// The bytes of one connection between the socket and the rest of the driver: the place for TLS. It
// must not know what the bytes mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "driver/counters.h"
#include "driver/env.h"
#include "driver/os/sys.h"

namespace iotax::driver {

/// A plain socket. Errors of all calls: those of the kernel; EAGAIN when nothing can be read or
/// written now.
template <Env E>
class PlainWire {
 public:
  using Sys = typename E::Sys;

  /// Takes ownership of the descriptor; -1: there is none, and no other function is called.
  PlainWire(Sys& sys, int fd) noexcept : sys_(sys), fd_(fd) {}
  PlainWire(PlainWire&&) = delete;

  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  /// For the poller, and for poll().
  [[nodiscard]] int fd() const noexcept { return fd_; }

  /// 0 bytes: the client has shut down its sending side.
  [[nodiscard]] Result<std::size_t> recv(std::span<std::byte> into) {
    return counted(CounterIndex::kReceivedBytes, sys_.recv(fd_, into));
  }
  /// Returns how many bytes were taken. `more`: others follow immediately.
  [[nodiscard]] Result<std::size_t> send(std::span<const std::byte> bytes, bool more = false) {
    return counted(CounterIndex::kSentBytes, sys_.send(fd_, bytes, more));
  }
  [[nodiscard]] Result<std::size_t> send_gathered(std::span<const iovec> pieces, bool more) {
    return counted(CounterIndex::kSentBytes, sys_.send_gathered(fd_, pieces, more));
  }
  /// Send from a regular file; 0 bytes: end of file. EINVAL, ENOSYS: its file system does not
  /// support this.
  [[nodiscard]] Result<std::size_t> send_file(int file, std::uint64_t offset, std::size_t bytes) {
    return counted(CounterIndex::kSentBytes, sys_.sendfile(fd_, file, offset, bytes));
  }
  /// The bytes sent and not yet acknowledged.
  [[nodiscard]] Result<std::size_t> unacked_bytes() { return sys_.unacked_bytes(fd_); }
  /// Limit the bytes that the kernel takes but cannot send yet. Not for Unix sockets.
  void limit_unsent(std::size_t bytes) { (void)sys_.set_unsent_max(fd_, bytes); }

  void shutdown_write() { (void)sys_.shutdown(fd_, SHUT_WR); }
  /// Shut down both directions, also for copies of the descriptor in other processes.
  void shutdown() { (void)sys_.shutdown(fd_, SHUT_RDWR); }
  /// Make close() send RST.
  void reset_on_close() { (void)sys_.set_linger_zero(fd_); }
  void close() { sys_.close(std::exchange(fd_, -1)); }

 private:
  static Result<std::size_t> counted(std::size_t index, Result<std::size_t> bytes) noexcept {
    if (bytes) count_here(index, *bytes);
    return bytes;
  }

  Sys& sys_;
  int fd_;
};

}  // namespace iotax::driver
