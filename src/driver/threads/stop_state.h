// Whether the worker was asked to stop, and whether it has. It must not know how it stops.
#pragma once

#include <cstdint>

#include "driver/config.h"
#include "driver/env.h"

namespace iotax::driver {

/// Thread-safe.
template <Env E>
class StopState {
 public:
  /// Request a stop; the most urgent request counts. Async-signal-safe.
  void request(Stop how, int exit_code) noexcept {
    const std::uint32_t wanted =
        static_cast<std::uint32_t>(how) | static_cast<std::uint32_t>(exit_code) << 8;
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    while ((seen & 0xff) < static_cast<std::uint32_t>(how) &&
           !word_.compare_exchange_weak(seen, wanted)) {
    }
  }
  [[nodiscard]] bool is_requested() const noexcept { return word_.load() != 0; }
  [[nodiscard]] Stop requested() const noexcept {
    return static_cast<Stop>(word_.load(std::memory_order_relaxed) & 0xff);
  }
  /// For Application::end_process().
  [[nodiscard]] int exit_code() const noexcept {
    return static_cast<int>(word_.load(std::memory_order_relaxed) >> 8);
  }

  /// Nothing is left to serve: every thread may end.
  void finish() noexcept { finished_.store(true, std::memory_order_release); }
  [[nodiscard]] bool is_finished() const noexcept {
    return finished_.load(std::memory_order_acquire);
  }

 private:
  Atomic<E, std::uint32_t> word_{0};  // Stop, exit code << 8
  Atomic<E, bool> finished_{false};
};

}  // namespace iotax::driver
