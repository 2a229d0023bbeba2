// When a call is slow, overdue, or its thread lost, and what people and Python are to hear of it.
// It must not know sessions, answers or Python; worker_deadlines.h acts on what it says.
//
// The leader looks, by timer. A thread that can use the interpreter (the watch) is told, logs the
// stack and answers; when it does not get the interpreter in time, the leader answers by itself.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/instant.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/os/sys.h"
#include "driver/session/claim.h"

namespace iotax::driver {

using namespace std::chrono_literals;

enum class WatchKind : std::uint8_t {
  slow,     // over --slow-request
  overdue,  // over --request-timeout
  lost,     // its thread did not come back within --request-timeout-grace
};

struct WatchEvent {
  WatchKind kind = WatchKind::slow;
  unsigned thread = 0;
  ClaimWord word = 0;
  std::string line;
  std::string id;
  core::Duration age{};
  int replacement = -1;  // of a lost thread: the number of the thread to start
};

template <Env E>
class Deadlines {
 public:
  using Sys = typename E::Sys;
  /// How long the watch may take before the leader answers by itself.
  static constexpr core::Duration kPatience = 100ms;

  Deadlines(Sys& sys, const Config& config, std::size_t threads)
      : sys_(sys), config_(config), on_(config.deadlines()), seen_(threads) {}

  [[nodiscard]] bool on() const noexcept { return on_; }

  // ---- by the leader
  enum class Verdict : std::uint8_t { nothing, slow, overdue, answer, lost };

  /// Begin to look at every thread.
  void begin_look() noexcept { due_ = core::kNever; }
  /// What is to be done about `thread` now. Each verdict is given once per call, or step of it.
  Verdict look(unsigned thread, ClaimWord word, core::Instant since, core::Instant now) {
    Seen& seen = seen_[thread];
    switch (state_of(word)) {
      case ClaimState::none:
        seen.taken = 0;
        return Verdict::nothing;
      case ClaimState::inside:
        look_again(now + shortest());
        return Verdict::nothing;
      case ClaimState::app:
        return look_at_call(seen, word, since, now);
      case ClaimState::taken:
        return look_for_thread(seen, word, now);
    }
    return Verdict::nothing;
  }
  /// The next look; kNever when nothing runs.
  [[nodiscard]] core::Instant due() const noexcept { return due_; }
  /// A call was answered by somebody else: its thread is waited for.
  void look_at_once() noexcept { due_ = core::Instant{}; }
  /// Something else is to be looked at by then.
  void look_by(core::Instant when) noexcept { look_again(when); }
  /// Calls may begin that nobody has looked at.
  void expect_calls(core::Instant now) noexcept { look_again(now + shortest()); }

  // ---- by anybody
  /// The call of `word` is in somebody's debugger.
  void suspend(unsigned thread, ClaimWord word) noexcept {
    seen_[thread].suspended.store(call_of(word), std::memory_order_relaxed);
  }
  void tell(WatchEvent event) {
    {
      const std::lock_guard lock(mutex_);
      if (events_.size() >= kEventsMax) return;
      events_.push_back(std::move(event));
    }
    ring();
  }
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ring();
  }
  /// Wait for the next event. Nothing: the worker has stopped.
  std::optional<WatchEvent> wait() {
    for (;;) {
      const std::uint32_t heard = bell_.load(std::memory_order_acquire);
      {
        const std::lock_guard lock(mutex_);
        if (!events_.empty()) {
          std::optional<WatchEvent> event(std::move(events_.front()));
          events_.pop_front();
          return event;
        }
        if (closed_) return std::nullopt;
      }
      sys_.futex_wait(bell_, heard, kForever);
    }
  }

 private:
  static constexpr std::size_t kEventsMax = 4096;  // a few for each of a thousand threads

  /// What was said of a thread.
  struct Seen {
    std::uint64_t slow = 0;  // the call that was slow
    ClaimWord overdue = 0;   // the step that was overdue
    core::Instant answer_at{};
    ClaimWord taken = 0;
    core::Instant taken_at{};
    bool lost = false;
    std::atomic<std::uint64_t> suspended{0};  // a call
  };

  Verdict look_at_call(Seen& seen, ClaimWord word, core::Instant since, core::Instant now) {
    if (seen.suspended.load(std::memory_order_relaxed) == call_of(word)) {
      look_again(now + shortest());
      return Verdict::nothing;
    }
    const core::Duration limit = config_.request_timeout;
    if (limit > core::Duration::zero() && now - since >= limit) {
      if (seen.overdue != word) {
        seen.overdue = word;
        seen.answer_at = now + kPatience;
        look_again(seen.answer_at);
        return Verdict::overdue;
      }
      if (config_.timeout_action == TimeoutAction::log) {
        look_again(now + shortest());
        return Verdict::nothing;
      }
      if (now >= seen.answer_at) {
        look_again(now);  // from here on its thread is waited for
        return Verdict::answer;
      }
      look_again(seen.answer_at);
      return Verdict::nothing;
    }
    if (limit > core::Duration::zero()) look_again(since + limit);
    const core::Duration slow = config_.slow_request;
    if (slow > core::Duration::zero() && seen.slow != call_of(word)) {
      if (now - since >= slow) {
        seen.slow = call_of(word);
        return Verdict::slow;
      }
      look_again(since + slow);
    }
    look_again(now + shortest());
    return Verdict::nothing;
  }

  Verdict look_for_thread(Seen& seen, ClaimWord word, core::Instant now) {
    if (seen.taken != word) {
      seen.taken = word;
      seen.taken_at = now;
      seen.lost = false;
    }
    if (seen.lost) return Verdict::nothing;
    const core::Instant ends = seen.taken_at + config_.timeout_grace;
    if (now >= ends) {
      seen.lost = true;
      return Verdict::lost;
    }
    look_again(ends);
    return Verdict::nothing;
  }

  void look_again(core::Instant when) noexcept { due_ = std::min(due_, when); }

  [[nodiscard]] core::Duration shortest() const noexcept {
    const core::Duration one = config_.slow_request;
    const core::Duration other = config_.request_timeout;
    if (one <= core::Duration::zero()) return other;
    return other <= core::Duration::zero() ? one : std::min(one, other);
  }

  void ring() {
    bell_.fetch_add(1, std::memory_order_release);
    sys_.futex_wake(bell_, kEverybody);
  }

  Sys& sys_;
  const Config& config_;
  const bool on_;
  std::vector<Seen> seen_;
  core::Instant due_ = core::kNever;

  Mutex<E> mutex_;
  std::deque<WatchEvent> events_;
  bool closed_ = false;
  Atomic<E, std::uint32_t> bell_{0};
};

}  // namespace iotax::driver
