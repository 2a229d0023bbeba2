// Decides when a call is slow or overdue and when its thread is given up. It must not know
// sessions, responses or Python; overdue.h acts on its decisions.
//
// The leader checks, by timer. A thread that can use the application lock (the watch) is notified,
// logs the stack and responds; if it does not get the lock in time, the leader responds by itself.
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
  lost,     // its thread did not return within --request-timeout-grace
};

struct WatchEvent {
  WatchKind kind = WatchKind::slow;
  unsigned thread = 0;
  ClaimWord word = 0;
  std::string line;
  std::string id;
  core::Duration age{};
  int replacement = -1;  // number of the thread to start in slot of a lost one; -1: none
};

template <Env E>
class Deadlines {
 public:
  using Sys = typename E::Sys;
  /// How long to wait for the watch before the leader responds by itself.
  static constexpr core::Duration kPatience = 100ms;

  Deadlines(Sys& sys, const Config& config, std::size_t threads)
      : sys_(sys), config_(config), on_(config.deadlines()), seen_(threads) {}

  [[nodiscard]] bool on() const noexcept { return on_; }

  // ---- by the leader
  enum class Verdict : std::uint8_t { nothing, slow, overdue, respond, lost };

  /// Start a check of every thread.
  void begin_look() noexcept { due_ = core::kNever; }
  /// Decide what to do about `thread` now. Returns each verdict once per call, or step of it.
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
  /// When to check next; kNever when nothing runs.
  [[nodiscard]] core::Instant due() const noexcept { return due_; }
  /// The watch has responded for a call: wait for its thread.
  void look_at_once() noexcept { due_ = core::Instant{}; }
  /// Check again by `when` for another reason.
  void look_by(core::Instant when) noexcept { look_again(when); }
  /// Calls may start without the leader noticing: check soon.
  void expect_calls(core::Instant now) noexcept { look_again(now + shortest()); }

  // ---- by any thread
  /// Ignore the deadlines of the call of `word`: it is in a debugger.
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
  /// Wait for the next event. Empty: the worker has stopped.
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

  /// What has been decided about a thread.
  struct Seen {
    std::uint64_t slow = 0;  // the call that was reported as slow
    ClaimWord overdue = 0;   // the step that was reported as overdue
    core::Instant respond_at{};
    ClaimWord taken = 0;
    core::Instant taken_at{};
    bool lost = false;
    std::atomic<std::uint64_t> suspended{0};  // the number of a call in a debugger
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
        seen.respond_at = now + kPatience;
        look_again(seen.respond_at);
        return Verdict::overdue;
      }
      if (config_.timeout_action == TimeoutAction::log) {
        look_again(now + shortest());
        return Verdict::nothing;
      }
      if (now >= seen.respond_at) {
        look_again(now);  // wait for its thread from here on
        return Verdict::respond;
      }
      look_again(seen.respond_at);
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
