// The leader's clock, and how long the leader may wait. Decides when the process was frozen:
// a wait ended much later than planned. It must not know what is timed.
#pragma once

#include <algorithm>
#include <atomic>
#include <string>

#include "core/instant.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/os/poller.h"
#include "driver/os/running_time.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax::driver {

using namespace std::chrono_literals;

/// Leaves out time in which the process did not run: every deadline moves by it. For the leader,
/// except noticed_now().
template <Env E>
class LoopClock {
 public:
  /// All are borrowed. `slot` publishes how much time is left out.
  LoopClock(typename E::Sys& sys, Log& log, const Slot& slot) noexcept
      : sys_(sys), log_(log), slot_(slot) {}

  /// The time of the last reading.
  [[nodiscard]] core::Instant now() const noexcept { return now_; }

  /// Call it before the first read(), while the worker does not serve yet: nothing counts as
  /// frozen.
  void begin() { now_ = sys_.now(); }

  /// Read the clock. Each new leader does so before it checks a deadline.
  void read() {
    now_ = sys_.now();
    const core::Instant planned = wakes_at_.load(std::memory_order_relaxed);
    if (now_ - RunningTime::kSlack > planned) [[unlikely]] {
      const core::Duration frozen = now_ - planned;
      if (sys_.notice_freeze(planned)) {
        now_ = sys_.now();
        slot_.scoreboard.worker(slot_.number).leave_out(sys_.left_out());
        if (frozen >= kReportedFreeze) {
          log_.server(Level::info, "This process did not run for " + std::to_string(frozen / 1s) +
                                       " s (stopped, frozen or starved); no deadline counts them");
        }
      }
    }
    wakes_at_.store(now_ + kLongestTurn, std::memory_order_relaxed);
  }

  /// The time for threads without the lead: now, but not after the time at which the leader was due
  /// to read the clock. If the leader is late, it may leave out the time since then, and a thread
  /// that used it for a deadline would have it left out twice.
  [[nodiscard]] core::Instant noticed_now() noexcept {
    const core::Instant now = sys_.now();
    const core::Instant wakes_at = wakes_at_.load(std::memory_order_relaxed);
    return now - RunningTime::kSlack > wakes_at ? wakes_at : now;
  }

  /// A freeze before `deadline` would shorten the time of a client.
  void expect(core::Instant deadline) noexcept { timed_until_ = std::max(timed_until_, deadline); }

  /// How long the leader may wait for events when its next timer is due at `next`. `timed`: a
  /// freeze would shorten a running deadline, so the wait is short enough to notice one.
  [[nodiscard]] core::Duration wait_until(core::Instant next, bool timed) noexcept {
    if (next == core::kNever) {
      wakes_at_.store(core::kNever, std::memory_order_relaxed);
      return kForever;
    }
    // Not now_: after a long call it is still the time of the last turn.
    core::Instant t = sys_.now();
    if (t - RunningTime::kSlack > wakes_at_.load(std::memory_order_relaxed))
        [[unlikely]] {  // frozen within the turn
      read();
      t = now_;
    }
    const bool pulse = timed || now_ < timed_until_;
    const core::Instant wakes_at = std::max(t, pulse ? std::min(next, t + kPulse) : next);
    wakes_at_.store(wakes_at, std::memory_order_relaxed);
    return wakes_at - t;
  }

 private:
  static constexpr core::Duration kPulse = 100ms;
  /// From one reading to the next wait: 256 calls that each end just before the lead is taken over.
  static constexpr core::Duration kLongestTurn = 500ms;
  static constexpr core::Duration kReportedFreeze = 5s;

  typename E::Sys& sys_;
  Log& log_;
  const Slot slot_;
  core::Instant now_{};
  // When the leader is due to read the clock again: written by the leader, read by any thread.
  std::atomic<core::Instant> wakes_at_{core::kNever};
  core::Instant timed_until_{};
};

}  // namespace iotax::driver
