// The pipe that ends the leader's wait: other threads write to it, and so does Python when a signal
// arrives. It must not know the reason of a wake-up.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "driver/env.h"
#include "driver/os/event_source.h"
#include "driver/os/result.h"

namespace iotax::driver {

/// End the wait of the thread that reads the pipe. `fd`: the write end. Async-signal-safe.
template <Env E>
void write_wakeup(typename E::Sys& sys, int fd) noexcept {
  static constexpr std::array kByte{std::byte{0}};
  (void)sys.write(fd, kByte);  // EAGAIN: the pipe is full, so the reader wakes up anyway
}

/// The read end. The descriptor is borrowed.
template <Env E>
class WakeupPipe : public EventSource {
 public:
  explicit WakeupPipe(typename E::Sys& sys) noexcept : EventSource(Kind::wakeup), sys_(sys) {}

  void open(int fd) noexcept { fd_ = fd; }
  /// Empty the pipe. A byte other than 0 is the number of a signal, written by Python; the server's
  /// own wake-ups write 0.
  void read() {
    std::array<std::byte, 256> bytes;
    for (;;) {
      const Result<std::size_t> got = sys_.read(fd_, bytes);
      if (!got || *got == 0) return;
      for (const std::byte b : std::span(bytes).first(*got)) {
        if (b != std::byte{0}) signals_ = true;
      }
      if (*got < bytes.size()) return;
    }
  }

  /// Whether signals have arrived whose handlers have not run.
  [[nodiscard]] bool has_signals() const noexcept { return signals_; }
  [[nodiscard]] bool take_signals() noexcept { return std::exchange(signals_, false); }
  /// The signals were taken, but their handlers did not run: keep them.
  void keep_signals() noexcept { signals_ = true; }

 private:
  typename E::Sys& sys_;
  int fd_ = -1;
  bool signals_ = false;
};

}  // namespace iotax::driver
