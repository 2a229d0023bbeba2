// Decides which worker accepts a new connection: one without a free thread leaves it to the others
// while another has one. If none has, this worker accepts, reads and queues. It must not know
// listeners or pollers.
#pragma once

#include <cstddef>

#include "core/instant.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax::driver {

using namespace std::chrono_literals;

/// For the leader.
class Sharing {
 public:
  /// How long to ignore a connection that was left to the others, which need microseconds.
  static constexpr core::Duration kPause = 2ms;
  /// A worker that has a free thread and leaves a connection waiting for this long has a problem.
  static constexpr core::Duration kPatience = 20ms;

  explicit Sharing(const Slot& slot) noexcept : slot_(slot) {}

  /// Whether to leave a waiting connection to the others for kPause. `ready`: the requests that
  /// wait for this worker's threads.
  [[nodiscard]] bool leave(core::Instant now, std::size_t ready) noexcept {
    if (slot_.scoreboard.slots() == 1) return false;
    const auto needed = static_cast<unsigned>(ready < kReadyMax ? ready : kReadyMax) + 1;
    if (slot_.scoreboard.free_threads(slot_.number, needed) == needed) return false;
    if (!slot_.scoreboard.another_is_free(slot_.number)) return false;
    if (now - left_last_ > 2 * kPause) left_first_ = now;
    left_last_ = now;
    return now - left_first_ < kPatience;
  }
  /// Publish whether this worker accepts, and for how many threads; 0: it does not.
  void accepting(unsigned threads) const noexcept {
    slot_.scoreboard.worker(slot_.number).serve(threads);
  }
  /// Publish how far this worker's clock is behind the monotonic clock.
  void leave_out(core::Duration time) const noexcept {
    slot_.scoreboard.worker(slot_.number).leave_out(time);
  }

 private:
  static constexpr std::size_t kReadyMax = 4096;

  Slot slot_;
  core::Instant left_first_{};  // first of the connections left in a row
  core::Instant left_last_{};
};

}  // namespace iotax::driver
