// When to tell people that no more connections fit. It must not know connections or why they are
// limited.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/instant.h"

namespace iotax::driver {

using namespace std::chrono_literals;

/// Says each thing once, and again only when there has been room meanwhile: an eighth of the limit,
/// so that a server at its limit does not say it with every connection.
class FullWatch {
 public:
  static constexpr core::Duration kEvery = 30s;  // at most

  enum class What : std::uint8_t {
    evicting,  // idle connections are closed for new ones
    waiting,   // none is idle: new clients wait
    refused,   // the system gives no more descriptors or memory
  };

  /// Whether it is to be said now.
  [[nodiscard]] bool say(What what, core::Instant now) noexcept {
    One& one = ones_[static_cast<std::size_t>(what)];
    if (one.said || now < one.not_before) return false;
    one.said = true;
    one.not_before = now + kEvery;
    return true;
  }
  /// So many of `most` connections are open.
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
