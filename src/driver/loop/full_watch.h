// Rate-limits the warnings that the limit of connections is reached. It must not know connections
// or the cause of the limit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/instant.h"

namespace iotax::driver {

using namespace std::chrono_literals;

/// Allows each warning once, and again only after an eighth of the limit has been free, so that a
/// server at its limit does not log with every connection.
class FullWatch {
 public:
  static constexpr core::Duration kEvery = 30s;  // at most

  enum class What : std::uint8_t {
    evicting,  // idle connections are closed to accept new ones
    waiting,   // no connection is idle: new clients wait
    refused,   // the kernel is out of descriptors or memory
  };

  /// Whether to log the warning now.
  [[nodiscard]] bool say(What what, core::Instant now) noexcept {
    One& one = ones_[static_cast<std::size_t>(what)];
    if (one.said || now < one.not_before) return false;
    one.said = true;
    one.not_before = now + kEvery;
    return true;
  }
  /// `open` of `most` connections are open.
  void count(std::size_t open, std::size_t most) noexcept {
    if (open > most - most / 8 - (most < 8 ? 1 : 0)) return;
    for (One& one : ones_) one.said = false;
  }

 private:
  struct One {
    bool said = false;
    core::Instant not_before{};
  };
  One ones_[3];
};

}  // namespace iotax::driver
