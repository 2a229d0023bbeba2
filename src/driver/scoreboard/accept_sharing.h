// Which of the workers on a page takes a new connection: one that has no thread to spare leaves it
// to the others while another has one. If none has, it accepts, reads and queues. It must not know
// listeners or pollers.
#pragma once

#include <cstddef>

#include "core/instant.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax::driver {

using namespace std::chrono_literals;

/// By the leader.
class Sharing {
 public:
  /// How long a connection that was left is not looked at; the others need microseconds.
  static constexpr core::Duration kPause = 2ms;
  /// Who has a thread to spare and leaves a connection waiting for so long is in trouble.
  static constexpr core::Duration kPatience = 20ms;

  explicit Sharing(const Place& place) noexcept : place_(place) {}

  /// Whether the connection that waits is to be left alone for kPause. `ready`: requests that our
  /// own threads have before them.
  [[nodiscard]] bool leave(core::Instant now, std::size_t ready) noexcept {
    if (place_.page.seats() == 1) return false;
    const auto needed = static_cast<unsigned>(ready < kMany ? ready : kMany) + 1;
    if (place_.page.free_threads(place_.seat, needed) == needed) return false;
    if (!place_.page.another_is_free(place_.seat)) return false;
    if (now - left_last_ > 2 * kPause) left_first_ = now;
    left_last_ = now;
    return now - left_first_ < kPatience;
  }
  /// Whether we accept at all, for the others to know.
  void accepting(unsigned threads) const noexcept { place_.page.seat(place_.seat).serve(threads); }
  /// How much our clock is behind that of the others.
  void leave_out(core::Duration time) const noexcept {
    place_.page.seat(place_.seat).leave_out(time);
  }

 private:
  static constexpr std::size_t kMany = 4096;

  Place place_;
  core::Instant left_first_{};  // of the connections left in a row
  core::Instant left_last_{};
};

}  // namespace iotax::driver
