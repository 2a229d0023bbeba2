// The share of recent calls that were slow: a moving average over 256 calls. It decides between
// inline calls and direct dispatch: a single slow call delays all requests for a tick, passing a
// request to another thread costs microseconds, so they break even below 1 %.
#pragma once

#include <atomic>
#include <cstdint>

namespace iotax::driver {

class SlowShare {
 public:
  void slow() noexcept {
    const std::uint32_t s = share_.load(std::memory_order_relaxed);
    share_.store(s + ((kAll - s) >> 8), std::memory_order_relaxed);
  }
  void quick() noexcept {
    const std::uint32_t s = share_.load(std::memory_order_relaxed);
    if (s != 0) share_.store(s - ((s + 255) >> 8), std::memory_order_relaxed);
  }
  [[nodiscard]] bool high() const noexcept {
    return share_.load(std::memory_order_relaxed) > kAll / 50;  // 2 %
  }
  [[nodiscard]] bool low() const noexcept {
    return share_.load(std::memory_order_relaxed) < kAll / 200;  // 0.5 %
  }

 private:
  static constexpr std::uint32_t kAll = 65536;
  std::atomic<std::uint32_t> share_{
      0};  // written with the application lock held, read anywhere as a hint
};

}  // namespace iotax::driver
