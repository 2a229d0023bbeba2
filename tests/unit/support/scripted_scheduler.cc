// Switches threads, and advances time when none can run.
#include "support/scripted_scheduler.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace iotax::support {

Scheduler::Scheduler(std::uint64_t seed, core::Instant start)
    : seed_(seed), random_(seed), now_(start) {
  tasks_.push_back(std::make_unique<Task>());
  tasks_[0]->name = "the test";
  tasks_[0]->fiber = std::make_unique<Fiber>();
}

Scheduler::~Scheduler() {
  for (std::size_t i = 1; i < tasks_.size(); ++i) {
    if (!tasks_[i]->finished) die("a thread still runs at the end of the test");
  }
}

void Scheduler::advance(core::Duration by) {
  const core::Instant end = now_ + by;
  while (!actions_.empty() && actions_.begin()->first <= end) {
    now_ = std::max(now_, actions_.begin()->first);
    run_actions();
  }
  now_ = std::max(now_, end);
  pass_frozen_time();
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

Waited Scheduler::wait_in_call(const char* what, Condition ready, core::Instant deadline) {
  Task& me = *tasks_[running_];
  me.in_call = true;
  const bool came = wait(what, std::move(ready), deadline);
  me.in_call = false;
  if (std::exchange(me.interrupted, false)) return Waited::interrupted;
  return came ? Waited::ready : Waited::too_long;
}

void Scheduler::give_way() {
  if (in_action_ || tasks_.size() < 2) return;
  count_turn();
  if (freezes_left_ != 0 && draw(freeze_one_in_) == 0) {
    --freezes_left_;
    const auto longest = static_cast<std::uint64_t>(frozen_longest_.count());
    freeze(core::Duration{static_cast<core::Duration::rep>(draw(longest))});
    pass_frozen_time();
  }
  if (decide) {
    give_way_as_decided();
  } else if (draw(switch_one_in_) != 0) {
    return;
  } else if (preemptions_left_ != 0 && draw(preempt_one_in_) == 0) {
    --preemptions_left_;
    const auto longest = static_cast<std::uint64_t>(preempted_longest_.count());
    lose_core(core::Duration{static_cast<core::Duration::rep>(draw(longest))});
  } else {
    hand_over(choose());
  }
}

void Scheduler::give_way_as_decided() {
  able_.assign(1, running_);
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    if (i != running_ && can_run(*tasks_[i])) able_.push_back(i);
  }
  const std::size_t way = decide(able_.size() + 1);
  if (way == able_.size()) {
    lose_core(preempted_longest_);
  } else {
    hand_over(able_[way]);
  }
}

std::size_t Scheduler::start(std::string name, std::function<void()> body) {
  const std::size_t id = tasks_.size();
  tasks_.push_back(std::make_unique<Task>());
  Task& task = *tasks_.back();
  task.name = std::move(name);
  task.fiber = std::make_unique<Fiber>([this, &task, body = std::move(body)] {
    body();
    task.finished = true;
    running_ = choose();
    task.fiber->end_in(*tasks_[running_]->fiber);
  });
  return id;
}

void Scheduler::join(std::size_t thread) {
  Task& task = *tasks_[thread];
  wait(
      "join", [&] { return task.finished; }, core::kNever);
}

bool Scheduler::can_run(const Task& task) const {
  return !task.finished &&
         (!task.ready || task.interrupted || task.deadline <= now_ || task.ready());
}

/// Select the next thread to run. Advances the clock when all wait.
std::size_t Scheduler::choose() {
  count_turn();
  for (;;) {
    able_.clear();
    core::Instant next = core::kNever;
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (can_run(*tasks_[i])) able_.push_back(i);
      if (!tasks_[i]->finished && tasks_[i]->ready) next = std::min(next, tasks_[i]->deadline);
    }
    if (able_.size() == 1) return able_[0];
    if (!able_.empty()) return able_[decide ? decide(able_.size()) : draw(able_.size())];
    if (!actions_.empty()) next = std::min(next, actions_.begin()->first);
    if (next == core::kNever) {
      if (!on_stuck || !on_stuck()) die("every thread waits for ever");
      continue;
    }
    now_ = std::max(now_, next);
    if (now_ > end_) die("it has not ended in time");
    run_actions();
    pass_frozen_time();
  }
}

void Scheduler::pass_frozen_time() {
  if (in_action_ || thaws_at_ <= now_) return;
  while (now_ < thaws_at_) {
    if (actions_.empty() || actions_.begin()->first >= thaws_at_) {
      now_ = thaws_at_;
    } else {
      now_ = std::max(now_, actions_.begin()->first);
    }
    run_actions();
  }
  for (const auto& task : tasks_) {
    if (task->in_call && task->ready) task->interrupted = true;
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

void Scheduler::lose_core(core::Duration for_how_long) {
  wait(
      "lost its core", [] { return false; }, now_ + for_how_long);
}

void Scheduler::hand_over(std::size_t to) {
  const std::size_t me = running_;
  if (to == me) return;
  running_ = to;
  tasks_[me]->fiber->switch_to(*tasks_[to]->fiber);
}

/// Detects threads that keep each other busy while no time passes.
void Scheduler::count_turn() {
  if (turns_at_ != now_) {
    turns_at_ = now_;
    turns_ = 0;
  }
  if (++turns_ > kTurnsMax) die("no time passes: somebody spins");
}

void Scheduler::die(const char* why) const {
  std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed_), why);
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const Task& task = *tasks_[i];
    if (task.finished) continue;
    std::fprintf(stderr, "  %s: %s %s\n", task.name.c_str(), i == running_ ? "runs, last" : "in",
                 task.what);
  }
  std::abort();
}

}  // namespace iotax::support
