// Threads on a virtual clock: real threads of which exactly one runs at a time, chosen by a seed,
// so that a run can be replayed. It decides who runs next and when time passes; it must not know
// what the threads wait for.
#pragma once

#ifdef __linux__
#include <sched.h>
#endif

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "core/instant.h"

namespace iotax::support {

/// Keeps the calling thread, and those that it starts, on the processor where it runs: a turn then
/// passes without waking another processor, which takes several times as long. Where the system
/// cannot, nothing happens.
class OneProcessor {
 public:
  OneProcessor() noexcept;
  ~OneProcessor();
  OneProcessor(const OneProcessor&) = delete;

 private:
#ifdef __linux__
  cpu_set_t before_;
  bool kept_;
#endif
};

/// The thread that makes the scheduler is number 0 and runs. Every member is for the running thread
/// only. Time stands still while anybody can run; when all wait, it jumps to the next deadline or
/// scripted action. When all wait and nothing is due ever, `on_stuck` may change something and
/// return true; otherwise the process is aborted with the seed and what each thread waits for.
class Scheduler {
 public:
  using Condition = std::function<bool()>;

  Scheduler(std::uint64_t seed, core::Instant start);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;

  [[nodiscard]] core::Instant now() const noexcept { return now_; }
  /// Pass time without giving way, running the actions that come due.
  void advance(core::Duration by);
  /// Run `action` when the clock gets to `when`, in whichever thread moves it. Actions must not
  /// wait.
  void at(core::Instant when, std::function<void()> action);

  /// Let other threads run until `ready` or the deadline. false: the deadline came first. `what`
  /// names the wait.
  bool wait(const char* what, Condition ready, core::Instant deadline);
  /// Perhaps let another thread run. Not from within an action.
  void give_way();

  /// A new thread, which runs when its turn comes. `name` is for the message when all are stuck.
  std::size_t start(std::string name, std::function<void()> body);
  void join(std::size_t thread);
  [[nodiscard]] std::size_t running() const noexcept { return running_; }
  /// Below `bound`, by the seed.
  std::uint64_t draw(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
  }

  std::function<bool()> on_stuck;

 private:
  struct Task {
    std::string name;
    std::thread thread;
    std::binary_semaphore turn{0};  // everything else changes hands with it
    const char* what = "";
    Condition ready;  // empty: can run
    core::Instant deadline = core::kNever;
    bool finished = false;
  };

  [[nodiscard]] bool can_run(const Task& task) const;
  std::size_t choose();
  void run_actions();
  void hand_over(std::size_t to);
  void pass_turn(std::size_t to);
  [[noreturn]] void die_stuck() const;

  OneProcessor one_processor_;
  std::uint64_t seed_;
  std::mt19937_64 random_;
  core::Instant now_;
  std::multimap<core::Instant, std::function<void()>> actions_;
  std::vector<std::unique_ptr<Task>> tasks_;
  std::size_t running_ = 0;
  bool in_action_ = false;
};

}  // namespace iotax::support
