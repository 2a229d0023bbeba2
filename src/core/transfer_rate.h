// Detects stalled and slow transfers: a maximum gap and, after a grace period, a minimum average
// rate. Pure: time is passed in.
#pragma once

#include <cstdint>

#include "core/instant.h"

namespace iotax::core {

/// For request bodies (Connection) and responses (driver).
class TransferRate {
 public:
  struct Rules {
    Duration gap_max{};                // longest time without progress; zero: none
    Duration grace{};                  // the rate is checked only after this
    std::uint64_t rate_bytes_min = 0;  // per second, from start() on; 0: none
    /// With an average above the rate, a pause may last this many times gap_max: buffers on the
    /// network path deliver in large steps what the client reads steadily.
    std::uint32_t pause_gaps = 1;
  };

  TransferRate() = default;
  explicit TransferRate(const Rules& rules) noexcept : rules_(rules) {}

  void start(Instant now) noexcept;
  void progress(Instant now, std::uint64_t bytes) noexcept;
  /// Exclude time that is not the client's fault: move all measurements by `by`.
  void shift(Duration by) noexcept;
  /// When the transfer becomes late without further progress; kNever before start() or without
  /// rules.
  [[nodiscard]] Instant deadline() const noexcept;
  [[nodiscard]] bool late(Instant now) const noexcept { return now >= deadline(); }
  /// Whether the gap is too long; a transfer that is late for another reason is too slow on
  /// average.
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
