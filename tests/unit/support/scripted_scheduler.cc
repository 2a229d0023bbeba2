// Passing the turn from thread to thread, and time when nobody can run.
#include "support/scripted_scheduler.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace iotax::support {

#ifdef __linux__
OneProcessor::OneProcessor() noexcept : kept_(false) {
  const int here = sched_getcpu();
  if (here < 0 || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(here, &only);
  kept_ = sched_setaffinity(0, sizeof only, &only) == 0;
}

OneProcessor::~OneProcessor() {
  if (kept_) (void)sched_setaffinity(0, sizeof before_, &before_);
}
#else
OneProcessor::OneProcessor() noexcept = default;
OneProcessor::~OneProcessor() = default;
#endif

Scheduler::Scheduler(std::uint64_t seed, core::Instant start)
    : seed_(seed), random_(seed), now_(start) {
  tasks_.push_back(std::make_unique<Task>());
  tasks_[0]->name = "the test";
}

Scheduler::~Scheduler() {
  for (auto& task : tasks_) {
    if (!task->thread.joinable()) continue;
    if (!task->finished) {
      std::fprintf(stderr, "thread \"%s\" still runs at the end of the test\n", task->name.c_str());
      std::abort();
    }
    task->thread.join();
  }
}

void Scheduler::advance(core::Duration by) {
  const core::Instant end = now_ + by;
  while (!actions_.empty() && actions_.begin()->first <= end) {
    now_ = std::max(now_, actions_.begin()->first);
    run_actions();
  }
  now_ = std::max(now_, end);
}

void Scheduler::at(core::Instant when, std::function<void()> action) {
  actions_.emplace(when, std::move(action));
}

bool Scheduler::wait(const char* what, Condition ready, core::Instant deadline) {
  if (ready()) return true;
  Task& me = *tasks_[running_];
  me.what = what;
  me.ready = std::move(ready);
  me.deadline = deadline;
  hand_over(choose());
  return std::exchange(me.ready, nullptr)();
}

void Scheduler::give_way() {
  if (!in_action_ && tasks_.size() > 1 && draw(4) == 0) hand_over(choose());
}

std::size_t Scheduler::start(std::string name, std::function<void()> body) {
  const std::size_t id = tasks_.size();
  tasks_.push_back(std::make_unique<Task>());
  Task& task = *tasks_.back();
  task.name = std::move(name);
  task.thread = std::thread([this, &task, body = std::move(body)] {
    task.turn.acquire();
    body();
    task.finished = true;
    pass_turn(choose());
  });
  return id;
}

void Scheduler::join(std::size_t thread) {
  Task& task = *tasks_[thread];
  wait(
      "join", [&] { return task.finished; }, core::kNever);
  if (task.thread.joinable()) task.thread.join();
}

bool Scheduler::can_run(const Task& task) const {
  return !task.finished && (!task.ready || task.deadline <= now_ || task.ready());
}

/// The next thread to run. Moves the clock when all wait.
std::size_t Scheduler::choose() {
  for (;;) {
    std::vector<std::size_t> able;
    core::Instant next = core::kNever;
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (can_run(*tasks_[i])) able.push_back(i);
      if (!tasks_[i]->finished && tasks_[i]->ready) next = std::min(next, tasks_[i]->deadline);
    }
    if (!able.empty()) return able.size() == 1 ? able[0] : able[draw(able.size())];
    if (!actions_.empty()) next = std::min(next, actions_.begin()->first);
    if (next == core::kNever) {
      if (!on_stuck || !on_stuck()) die_stuck();
      continue;
    }
    now_ = std::max(now_, next);
    run_actions();
  }
}

void Scheduler::run_actions() {
  while (!actions_.empty() && actions_.begin()->first <= now_) {
    const auto action = std::move(actions_.begin()->second);
    actions_.erase(actions_.begin());
    in_action_ = true;
    action();
    in_action_ = false;
  }
}

void Scheduler::hand_over(std::size_t to) {
  const std::size_t me = running_;
  if (to == me) return;
  Task& task = *tasks_[me];
  pass_turn(to);
  task.turn.acquire();
}

void Scheduler::pass_turn(std::size_t to) {
  running_ = to;
  tasks_[to]->turn.release();
}

void Scheduler::die_stuck() const {
  std::fprintf(stderr, "seed %llu: every thread waits for ever\n",
               static_cast<unsigned long long>(seed_));
  for (const auto& task : tasks_) {
    if (!task->finished) std::fprintf(stderr, "  %s: in %s\n", task->name.c_str(), task->what);
  }
  std::abort();
}

}  // namespace iotax::support
