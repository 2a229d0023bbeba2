// The leader's clock, and how long the leader may wait. Decides when the process was frozen:
// a wait ended much later than planned. It must not know what is timed.
#pragma once

#include <algorithm>
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
  void begin() {
    sys_.plan_reading(core::kNever);
    now_ = sys_.now();
  }

  /// Read the clock. Each new leader does so before it checks a deadline.
  void read() {
    now_ = sys_.now();
    const core::Instant planned = sys_.planned_reading();
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
    sys_.plan_reading(now_ + kLongestTurn);
  }

  /// The time for threads without the lead: now, but not after the time at which the leader was due
  /// to read the clock.
  [[nodiscard]] core::Instant noticed_now() noexcept { return sys_.noticed_now(); }

  /// A freeze before `deadline` would shorten the time of a client.
  void expect(core::Instant deadline) noexcept { timed_until_ = std::max(timed_until_, deadline); }

  /// How long the leader may wait for events when its next timer is due at `next`. `timed`: a
  /// freeze would shorten a running deadline, so the wait is short enough to notice one.
  [[nodiscard]] core::Duration wait_until(core::Instant next, bool timed) noexcept {
    if (next == core::kNever) {
      sys_.plan_reading(core::kNever);
      return kForever;
    }
    // Not now_: after a long call it is still the time of the last turn.
    core::Instant t = sys_.now();
    if (t - RunningTime::kSlack > sys_.planned_reading()) [[unlikely]] {  // frozen within the turn
      read();
      t = now_;
    }
    const bool pulse = timed || now_ < timed_until_;
    const core::Instant wakes_at = std::max(t, pulse ? std::min(next, t + kPulse) : next);
    sys_.plan_reading(wakes_at);
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
  core::Instant timed_until_{};
};

}  // namespace iotax::driver
