// Whether somebody keeps up: a longest gap and, after a grace, a least average rate. Pure: time is
// passed in.
#pragma once

#include <cstdint>

#include "core/instant.h"

namespace iotax::core {

/// For content coming in (Connection) and answers going out (driver).
class TransferRate {
 public:
  struct Rules {
    Duration gap_max{};                // longest time without progress; zero: none
    Duration grace{};                  // the rate counts only after this
    std::uint64_t rate_bytes_min = 0;  // per second, from start() on; 0: none
    /// A pause may last so many times gap_max while the average is above the rate: buffers on the
    /// way pass on in large steps what somebody takes steadily.
    std::uint32_t pause_gaps = 1;
  };

  TransferRate() = default;
  explicit TransferRate(const Rules& rules) noexcept : rules_(rules) {}

  void start(Instant now) noexcept;
  void progress(Instant now, std::uint64_t bytes) noexcept;
  /// Time that nobody is to blame for: everything measured so far moves by `by`.
  void shift(Duration by) noexcept;
  /// When it will be late if nothing more comes; kNever before start() or without rules.
  [[nodiscard]] Instant deadline() const noexcept;
  [[nodiscard]] bool late(Instant now) const noexcept { return now >= deadline(); }
  /// Late for a gap; a late one that is not is too slow on average.
  [[nodiscard]] bool late_for_gap(Instant now) const noexcept { return now >= gap_deadline(); }

 private:
  [[nodiscard]] Instant gap_deadline() const noexcept;
  [[nodiscard]] Instant rate_deadline() const noexcept;

  Rules rules_;
  Instant started_ = kNever;
  Instant last_ = kNever;
  std::uint64_t bytes_ = 0;
};

/// `from` + `by` without overflow; kNever when `from` is kNever.
[[nodiscard]] Instant later(Instant from, Duration by) noexcept;

}  // namespace iotax::core
