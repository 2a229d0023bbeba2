// The member functions of BasicWorker (worker.h) that deal with calls that last too long: looking
// at them, taking their sessions away, threads that are lost and come back.
#pragma once

#include <string>
#include <utility>

#include "driver/worker.h"

namespace iotax::driver {

/// Look at every call, if that is due. By the holder of the lead, not under the mutex.
template <Env E>
void BasicWorker<E>::look_at_deadlines(const Lead& lead) {
  using Verdict = typename Deadlines<E>::Verdict;
  const core::Instant now = loop_.now();
  if (now < deadlines_.due()) return;
  deadlines_.begin_look();
  for (unsigned thread = 0; thread < slots_.size(); ++thread) {
    look_at_offer(lead, thread, now);
    Exchange& exchange = slots_[thread]->exchange;
    const ClaimWord word = exchange.claim().word();
    const core::Instant since = exchange.claim().since();
    switch (deadlines_.look(thread, word, since, now)) {
      case Verdict::nothing:
        break;
      case Verdict::slow:
        tell(WatchKind::slow, thread, word, now - since);
        break;
      case Verdict::overdue:
        tell(WatchKind::overdue, thread, word, now - since);
        break;
      case Verdict::answer:
        if (const auto taken = exchange.take(word)) {
          if (mail_.load()) read_mail(lead);  // no mail may name a session that is given back
          loop_.break_off(lead, *taken->session, taken->when, now - since);
        }
        break;
      case Verdict::lost:
        lose(thread, word);
        break;
    }
  }
  loop_.set_deadlines_due(deadlines_.due());
}

/// A thread that waits for the application lock to call for a request, for longer than the call
/// could last: the request is answered instead. Whoever keeps the lock may do so for long.
template <Env E>
void BasicWorker<E>::look_at_offer(const Lead& lead, unsigned thread, core::Instant now) {
  if (!refuses_unstarted()) return;
  auto& offer = slots_[thread]->offer;
  const auto waiting = offer.look();
  if (!waiting) return;
  const core::Instant due = waiting->since + config_.request_timeout;
  if (now < due) {
    deadlines_.look_by(due);
    return;
  }
  // Counted before: the thread may be back as soon as it is withdrawn.
  const bool first = stuck_.fetch_add(1) == 0;
  if (!offer.withdraw(*waiting)) {
    stuck_.fetch_sub(1);
    return;
  }
  loop_.refuse_unstarted(*waiting->session);
  loop_.flush(lead);
  if (!first || !supervised_) return;
  {
    const std::lock_guard lock(mutex_);
    accept_as_threads_allow();
  }
  (void)loop_.channel().report(
      Report::threads_lost, "no call could begin for " +
                                std::to_string((now - waiting->since) / 1ms) +
                                " ms: one in progress keeps the interpreter (--request-timeout)");
}

/// Whether requests that cannot be started are answered after --request-timeout.
template <Env E>
bool BasicWorker<E>::refuses_unstarted() const noexcept {
  return config_.request_timeout > core::Duration::zero() &&
         config_.timeout_action != TimeoutAction::log;
}

/// Requests behind one that was withdrawn cannot be started either. Under the mutex.
template <Env E>
void BasicWorker<E>::refuse_stuck_queue() {
  while (!queue_.empty() && loop_.now() - queue_.front()->ready_at >= config_.request_timeout) {
    loop_.refuse_unstarted(*queue_.pop());
  }
}

/// New connections are left to other workers while no call can begin in this one. Under the mutex.
template <Env E>
void BasicWorker<E>::accept_as_threads_allow() {
  const bool none = lost_ == present_ || (supervised_ && stuck_.load() != 0);
  loop_.set_threads(none ? 0 : present_);
}

/// Before the leader waits: calls may begin in other threads meanwhile. Under the mutex.
template <Env E>
void BasicWorker<E>::set_deadline_timer(unsigned leading) {
  if (idle_.size() + leading < present_) deadlines_.expect_calls(loop_.now());
  loop_.set_deadlines_due(deadlines_.due());
}

template <Env E>
void BasicWorker<E>::tell(WatchKind kind, unsigned thread, ClaimWord word, core::Duration age,
                          int replacement) {
  WatchEvent event;
  event.kind = kind;
  event.thread = thread;
  event.word = word;
  event.age = age;
  event.replacement = replacement;
  if (std::optional<Running> call = slots_[thread]->call.read()) {
    event.line = std::move(call->line);
    event.id = std::move(call->id);
  }
  deadlines_.tell(std::move(event));
}

/// The thread did not come back in time. With one thread nothing more can be served; else another
/// takes its place, up to half their number.
template <Env E>
void BasicWorker<E>::lose(unsigned thread, ClaimWord word) {
  int replacement = -1;
  bool half = false;
  {
    const std::lock_guard lock(mutex_);
    ++lost_;
    slots_[thread]->loss = Loss::lost;
    if (config_.threads > 1 && present_ < slots_.size()) {
      replacement = static_cast<int>(present_++);
      slots_[thread]->loss = Loss::replaced;
    }
    half = lost_ * 2 >= config_.threads;
    accept_as_threads_allow();
  }
  std::string text = "iotax-" + std::to_string(thread) + " has not come back within " +
                     std::to_string(config_.timeout_grace / 1ms) +
                     " ms of --request-timeout (--request-timeout-grace)";
  const std::optional<Running> call = slots_[thread]->call.read();
  if (call) {
    text += ": ";
    append_escaped(text, call->line);
    text += " (" + call->id + ')';
  }
  log_.server(Level::error, "Thread " + text);
  tell(WatchKind::lost, thread, word, {}, replacement);
  if (half) ask_for_replacement(text);
}

/// The supervisor is asked for another worker; where there is none, a person is. From any thread.
template <Env E>
void BasicWorker<E>::ask_for_replacement(std::string_view why) {
  if (loop_.channel().report(Report::threads_lost, why)) return;
  if (supervised_ || asked_for_replacement_.exchange(true)) return;
  log_.server(Level::critical,
              "This process has lost too many of its threads; restart it, or let a supervisor do "
              "that (the command iotax without --workers 0)");
}

template <Env E>
void BasicWorker<E>::replacement_failed(unsigned lost, unsigned replacement) {
  bool half = false;
  {
    const std::lock_guard lock(mutex_);
    if (slots_[lost]->loss == Loss::replaced) slots_[lost]->loss = Loss::lost;
    slots_[replacement]->loss = Loss::lost;
    ++lost_;
    half = lost_ * 2 >= config_.threads;
    threads_changed_.store(true);
    mail_.store(true);
  }
  ring(wake_.write);
  if (half) {
    ask_for_replacement("no thread could be started in the place of iotax-" + std::to_string(lost));
  }
}

template <Env E>
std::optional<WatchEvent> BasicWorker<E>::watch_calls() {
  std::optional<WatchEvent> event = deadlines_.wait();
  if (event) seat_.wait_for_interpreter(sys_.now());
  return event;
}

/// Take the session of a call away, if the application still has it as `word` says. With the
/// interpreter entered.
template <Env E>
bool BasicWorker<E>::expire(unsigned thread, ClaimWord word) {
  const auto taken = slots_[thread]->exchange.take(word);
  if (!taken) return false;
  const core::Instant since = slots_[thread]->exchange.claim().since();
  {
    const std::lock_guard lock(mutex_);
    expired_.push_back({taken->session, taken->when, sys_.now() - since});
    mail_.store(true);
  }
  ring(wake_.write);
  return true;
}

/// The thread has come back from a call whose session was taken. If that was behind the whole
/// answer, the session has been the loop's since, and may be gone.
template <Env E>
void BasicWorker<E>::give_up(unsigned thread, Session& s) {
  if (!slots_[thread]->exchange.ended()) post(released_, s);
}

/// A thread that was given up is back. False: another has its place, and it may go. Under the
/// mutex.
template <Env E>
bool BasicWorker<E>::come_back(unsigned thread) {
  Slot& slot = *slots_[thread];
  log_.server(Level::info, "Thread iotax-" + std::to_string(thread) + " has come back");
  const bool replaced = std::exchange(slot.loss, Loss::none) == Loss::replaced;
  --lost_;
  if (replaced && thread != 0) {  // thread 0 runs signal handlers
    slot.call.close();
    return false;
  }
  threads_changed_.store(true);
  mail_.store(true);
  ring(wake_.write);
  return true;
}

/// Whether a thread still holds what was taken from it, and may come back.
template <Env E>
bool BasicWorker<E>::waits_for_a_thread() {
  for (const auto& slot : slots_) {
    if (state_of(slot->exchange.claim().word()) != ClaimState::taken) continue;
    const std::lock_guard lock(mutex_);
    if (slot->loss == Loss::none) return true;
  }
  return false;
}

}  // namespace iotax::driver
