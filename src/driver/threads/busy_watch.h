// Rate-limits the warning that all application threads are busy. It must not know threads or
// queues.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/instant.h"

namespace iotax::driver {

using namespace std::chrono_literals;

class BusyWatch {
 public:
  static constexpr core::Duration kAfter = 2s;   // since all threads are busy
  static constexpr core::Duration kEvery = 30s;  // minimum interval

  void all_busy(core::Instant now) noexcept {
    if (since_ == core::kNever) since_ = now;
  }
  void one_is_free() noexcept { since_ = core::kNever; }
  /// When to log it; kNever while no request waits or a thread is free.
  [[nodiscard]] core::Instant due(std::size_t waiting) const noexcept {
    if (waiting == 0 || since_ == core::kNever) return core::kNever;
    return std::max(since_ + kAfter, not_before_);
  }
  void said(core::Instant now) noexcept { not_before_ = now + kEvery; }

 private:
  core::Instant since_ = core::kNever;
  core::Instant not_before_{};
};

}  // namespace iotax::driver
