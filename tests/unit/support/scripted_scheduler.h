// Threads on a virtual clock, of which exactly one runs at a time: fibers of one native thread. A
// seed selects the next thread, so that a run can be replayed, or `decide` does. It decides which
// thread runs and when time passes; it must not know what the threads wait for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/instant.h"
#include "support/fiber.h"

namespace iotax::support {

/// How a wait in a system call ended.
enum class Waited : std::uint8_t { ready, too_long, interrupted };

/// The thread that creates the scheduler is number 0 and runs. All members are for the running
/// thread only. Time does not pass while a thread can run; when all wait, it jumps to the next
/// deadline or scripted action. When all wait and nothing is due, `on_stuck` may change something
/// and return true; otherwise the process is aborted with the seed and what each thread waits for.
class Scheduler {
 public:
  using Condition = std::function<bool()>;

  Scheduler(std::uint64_t seed, core::Instant start);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;

  [[nodiscard]] core::Instant now() const noexcept { return now_; }
  /// Let time pass without a switch, and run the actions that become due.
  void advance(core::Duration by);
  /// Run `action` when the clock reaches `when`, in the thread that advances it. Actions must not
  /// wait.
  void at(core::Instant when, std::function<void()> action);

  /// Let other threads run until `ready` or the deadline. false: the deadline came first. `what`
  /// names the wait.
  bool wait(const char* what, Condition ready, core::Instant deadline);
  /// The same, but freeze() ends it.
  Waited wait_in_call(const char* what, Condition ready, core::Instant deadline);
  /// Run no thread for this long, from the end of the calling action on; actions continue.
  void freeze(core::Duration for_how_long) {
    thaws_at_ = std::max(thaws_at_, now_ + for_how_long);
    frozen_ += for_how_long;
  }
  /// Freeze all threads up to `most` times for up to `longest`, once in this many switches.
  void set_freezes(unsigned most, std::uint64_t one_in, core::Duration longest) {
    freezes_left_ = most;
    freeze_one_in_ = one_in;
    frozen_longest_ = longest;
  }
  /// The total time of all freezes.
  [[nodiscard]] core::Duration frozen() const noexcept { return frozen_; }
  /// Switch to another thread, or not; does nothing within an action.
  void give_way();
  /// Abort if a thread runs after `end`.
  void set_end(core::Instant end) { end_ = end; }
  /// How often give_way() switches: once in this many times on average. Default: 4.
  void set_switches(std::uint64_t one_in) { switch_one_in_ = one_in; }
  /// Preempt a runnable thread up to `most` times for up to `longest`, once in this many switches.
  void set_preemptions(unsigned most, std::uint64_t one_in, core::Duration longest) {
    preemptions_left_ = most;
    preempt_one_in_ = one_in;
    preempted_longest_ = longest;
  }

  /// Start a thread, which runs when it is selected. `name` is for the message when all are stuck.
  std::size_t start(std::string name, std::function<void()> body);
  void join(std::size_t thread);
  [[nodiscard]] std::size_t running() const noexcept { return running_; }
  /// A random number below `bound`.
  std::uint64_t draw(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
  }

  std::function<bool()> on_stuck;
  /// Replaces the seed: selects one of `ways`. Where a thread yields: 0, it continues; then the
  /// other runnable threads; the last, it is preempted for the longest time. Where it waits: the
  /// runnable threads. Called only where there is a choice.
  std::function<std::size_t(std::size_t ways)> decide;

 private:
  struct Task {
    std::string name;
    std::unique_ptr<Fiber> fiber;
    const char* what = "";
    Condition ready;  // empty: can run
    core::Instant deadline = core::kNever;
    bool in_call = false;      // in a system call: a freeze interrupts it
    bool interrupted = false;  // it was interrupted
    bool finished = false;
  };

  [[nodiscard]] bool can_run(const Task& task) const;
  std::size_t choose();
  void run_actions();
  void pass_frozen_time();
  void give_way_as_decided();
  void lose_core(core::Duration for_how_long);
  void hand_over(std::size_t to);
  void count_turn();
  [[noreturn]] void die(const char* why) const;

  static constexpr std::uint64_t kTurnsMax = 1'000'000;  // without the clock advancing

  std::uint64_t seed_;
  std::mt19937_64 random_;
  core::Instant now_;
  std::multimap<core::Instant, std::function<void()>> actions_;
  std::vector<std::unique_ptr<Task>> tasks_;
  std::vector<std::size_t> able_;  // reused to avoid allocation
  std::size_t running_ = 0;
  std::uint64_t switch_one_in_ = 4;
  std::uint64_t preempt_one_in_ = 1;
  core::Duration preempted_longest_{};
  unsigned preemptions_left_ = 0;
  std::uint64_t turns_ = 0;
  core::Instant turns_at_;
  core::Instant end_ = core::kNever;
  core::Instant thaws_at_{};
  core::Duration frozen_{};
  std::uint64_t freeze_one_in_ = 1;
  core::Duration frozen_longest_{};
  unsigned freezes_left_ = 0;
  bool in_action_ = false;
};

}  // namespace iotax::support
