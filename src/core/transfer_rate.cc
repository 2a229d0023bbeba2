// Arithmetic of TransferRate; every sum saturates at kNever.
#include "core/transfer_rate.h"

#include <algorithm>

namespace iotax::core {

Instant later(Instant from, Duration by) noexcept {
  return from > kNever - by ? kNever : from + by;
}

void TransferRate::start(Instant now) noexcept {
  started_ = last_ = now;
  bytes_ = 0;
}

void TransferRate::progress(Instant now, std::uint64_t bytes) noexcept {
  last_ = now;
  bytes_ = bytes > UINT64_MAX - bytes_ ? UINT64_MAX : bytes_ + bytes;
}

void TransferRate::shift(Duration by) noexcept {
  started_ = later(started_, by);
  last_ = later(last_, by);
}

Instant TransferRate::gap_deadline() const noexcept {
  if (rules_.gap_max == Duration::zero()) return kNever;
  const Instant strict = later(last_, rules_.gap_max);
  if (rules_.pause_gaps <= 1 || rules_.rate_bytes_min == 0) return strict;
  const Duration pause = rules_.gap_max > Duration::max() / rules_.pause_gaps
                             ? Duration::max()
                             : rules_.gap_max * rules_.pause_gaps;
  return std::max(strict, std::min(rate_deadline(), later(last_, pause)));
}

Instant TransferRate::rate_deadline() const noexcept {
  if (rules_.rate_bytes_min == 0) return kNever;
  constexpr std::uint64_t kSecondsMax =
      1'000'000'000;  // about 31 years, as nanoseconds within 63 bits
  constexpr std::uint64_t kNanoseconds = 1'000'000'000;
  const std::uint64_t seconds = bytes_ / rules_.rate_bytes_min;
  if (seconds > kSecondsMax) return kNever;
  const std::uint64_t rest = bytes_ % rules_.rate_bytes_min;
  // `rest` is less than the rate; in double, only its fraction of a second can be off by a
  // nanosecond.
  const auto fraction = static_cast<std::uint64_t>(static_cast<double>(rest) /
                                                   static_cast<double>(rules_.rate_bytes_min) *
                                                   static_cast<double>(kNanoseconds));
  return later(later(started_, rules_.grace),
               Duration(static_cast<Duration::rep>(seconds * kNanoseconds + fraction)));
}

Instant TransferRate::deadline() const noexcept {
  return std::min(gap_deadline(), rate_deadline());
}

}  // namespace iotax::core
