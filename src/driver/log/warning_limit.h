// Limits the rate of the server's own warnings. It must not know where lines go.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "core/instant.h"

namespace iotax::driver {

/// Passes at most kLines lines per second, counts the others, and reports the count when the second
/// is over. Not thread-safe.
class WarningLimit {
 public:
  static constexpr unsigned kLines = 10;
  static constexpr core::Duration kWindow = std::chrono::seconds{1};

  /// Pass `line` to `emit(std::string_view)`, or count it. Emits a due count first.
  template <class F>
  void pass(core::Instant now, F&& emit, std::string_view line) {
    settle(now, emit);
    if (now >= window_end_) {
      window_end_ = now + kWindow;
      lines_ = 0;
    }
    if (lines_ < kLines) {
      ++lines_;
      emit(line);
    } else {
      ++left_out_;
    }
  }

  /// Emit the count if it is due.
  template <class F>
  void settle(core::Instant now, F&& emit) {
    if (now < due()) return;
    emit(std::string_view(counted(std::exchange(left_out_, 0))));
  }
  /// When settle() has a count to emit; kNever when no line was suppressed.
  [[nodiscard]] core::Instant due() const noexcept {
    return left_out_ == 0 ? core::kNever : window_end_;
  }

 private:
  [[nodiscard]] static std::string counted(std::uint64_t lines);

  core::Instant window_end_{};
  unsigned lines_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace iotax::driver
