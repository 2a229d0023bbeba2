// When the loop sends the lines for statsd: once a second, and as soon as they fill a datagram. It
// must not know the lines.
#pragma once

#include <chrono>

#include "core/instant.h"
#include "driver/env.h"
#include "driver/loop/loop_base.h"
#include "driver/proof.h"

namespace iotax::driver {

/// For the leader.
template <Env E>
class StatsdTimer {
 public:
  /// `loop` is borrowed.
  explicit StatsdTimer(LoopBase<E>& loop) noexcept : loop_(loop) {}

  /// Send from now on, if --statsd-host is given.
  void begin() noexcept {
    if (loop_.config.statsd) due_ = loop_.clock.now() + kEvery;
  }
  /// When to send; kNever: not at all.
  [[nodiscard]] core::Instant due() const noexcept {
    return due_ != core::kNever && loop_.log.has_full_datagram() ? loop_.clock.now() : due_;
  }
  void send(const Lead& /*lead*/) noexcept {
    const bool all = loop_.clock.now() >= due_;
    loop_.log.send_datagrams(all);
    if (all) due_ = loop_.clock.now() + kEvery;
  }

 private:
  static constexpr core::Duration kEvery = std::chrono::seconds{1};

  LoopBase<E>& loop_;
  core::Instant due_ = core::kNever;
};

}  // namespace iotax::driver
