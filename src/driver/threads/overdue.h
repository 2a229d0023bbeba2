// Acts on calls that last too long: logs them, notifies Python, has the leader respond for the
// application, and gives up threads that do not return. deadlines.h decides when. It must not know
// Python.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "driver/config.h"
#include "driver/counters.h"
#include "driver/env.h"
#include "driver/log/escape.h"
#include "driver/log/log.h"
#include "driver/loop/loop.h"
#include "driver/proof.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/session/claim.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/deadlines.h"
#include "driver/threads/dispatch.h"
#include "driver/threads/mailbox.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

template <Env E>
class Overdue {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed.
  Overdue(WorkerBase<E>& base, AppThreads<E>& threads, Dispatch<E>& dispatch)
      : sys_(base.sys),
        config_(base.config),
        log_(base.log),
        mutex_(base.mutex),
        loop_(base.loop),
        threads_(threads),
        mailbox_(base.mailbox),
        dispatch_(dispatch),
        entry_(base.entry()),
        deadlines_(base.sys, base.config, threads.size()) {}

  /// A supervisor replaces this worker on request. Call it before the worker serves.
  void set_supervised() noexcept { supervised_ = true; }
  /// Whether deadlines for calls are configured.
  [[nodiscard]] bool on() const noexcept { return deadlines_.on(); }
  /// There are no calls to watch any more: next_event() ends.
  void close() { deadlines_.close(); }

  // ---- by the leader

  /// Check every call, if that is due.
  void check(const Lead& lead) {
    using Verdict = typename Deadlines<E>::Verdict;
    if (!on()) return;
    const core::Instant now = loop_.now();
    if (now < deadlines_.due()) return;
    deadlines_.begin_look();
    for (unsigned thread = 0; thread < threads_.size(); ++thread) {
      check_offer(lead, thread);
      auto& exchange = threads_[thread].exchange;
      const ClaimWord word = exchange.claim().word();
      const core::Instant since = exchange.claim().since();
      switch (deadlines_.look(thread, word, since, now)) {
        case Verdict::nothing:
          break;
        case Verdict::slow:
          count_deadline(WatchKind::slow);
          notify(WatchKind::slow, thread, word, now - since);
          break;
        case Verdict::overdue:
          count_deadline(WatchKind::overdue);
          notify(WatchKind::overdue, thread, word, now - since);
          break;
        case Verdict::respond:
          if (const auto taken = exchange.take(word)) {
            if (mailbox_.any())
              deliver_mail(lead);  // the session is returned next: no mail may refer to it
            loop_.requests().take_away(lead, *taken->session, taken->when, now - since);
          }
          break;
        case Verdict::lost:
          give_up_thread(lead, thread, word);
          break;
      }
    }
    loop_.set_deadlines_due(deadlines_.due());
  }
  /// The leader is about to wait, and calls may start in other threads meanwhile. `leading`: 1 if
  /// it is an application thread.
  void set_timer(const Lead& /*lead*/, const Locked& locked, unsigned leading) {
    if (!on()) return;
    if (dispatch_.idle(locked) + leading < threads_.present(locked)) {
      deadlines_.expect_calls(loop_.now());
    }
    loop_.set_deadlines_due(deadlines_.due());
  }
  void deliver_mail(const Lead& lead) {
    const auto delivered = mailbox_.deliver(lead);
    if (delivered.expired) deadlines_.look_at_once();  // wait for their threads
    if (delivered.threads_changed) update_accepting(lead);
  }
  /// Whether calls cannot start, since another one keeps the application lock.
  [[nodiscard]] bool is_stuck() const noexcept { return stuck_.load() != 0; }
  /// Whether a thread still uses a session that was taken from it, and may return.
  [[nodiscard]] bool waits_for_thread(const Lead& /*lead*/) {
    for (unsigned thread = 0; thread < threads_.size(); ++thread) {
      if (state_of(threads_[thread].exchange.claim().word()) != ClaimState::taken) continue;
      const bool lost = mutex_.with_lock(
          [&](const Locked& locked) { return threads_.loss(thread, locked) != Loss::none; });
      if (!lost) return true;
    }
    return false;
  }

  // ---- by an application thread

  /// Acquire the application lock to call for `s`. Empty: it took so long that the leader, another
  /// thread by now, has withdrawn `s`.
  [[nodiscard]] std::optional<core::Instant> acquire_for(AppThreadState<E>& thread, Session& s) {
    if (!on()) [[likely]]
      return thread.lock.acquire();
    thread.offer.make(s, loop_.clock().noticed_now());
    const core::Instant had = thread.lock.acquire();
    if (thread.offer.accept()) return had;
    stuck_.fetch_sub(1);
    mailbox_.post_threads_changed();
    return std::nullopt;
  }
  /// The thread has returned from a call whose session was taken. If the response was complete
  /// then, the leader has owned the session since, and it may not exist any more.
  void call_returned(AppThreadState<E>& thread, Session& s) {
    if (!thread.exchange.ended()) mailbox_.post_released(s);
  }
  /// A thread that was given up has returned. False: it has been replaced, and ends.
  [[nodiscard]] bool thread_returned(unsigned thread, const Locked& locked) {
    log_.server(Level::info, "Thread iotax-" + std::to_string(thread) + " has returned");
    if (!threads_.come_back(thread, locked)) {
      threads_[thread].call.close();
      return false;
    }
    mailbox_.post_threads_changed();
    return true;
  }

  // ---- by the thread that watches calls, with the application lock, except next_event()

  /// Wait for a call to log or to notify Python of. Empty: the worker has stopped. Until
  /// app_lock_acquired() the scoreboard says that this thread waits for the lock.
  [[nodiscard]] std::optional<WatchEvent> next_event() {
    std::optional<WatchEvent> event = deadlines_.wait();
    if (event) entry_.wait_for_app_lock(sys_.now());
    return event;
  }
  void app_lock_acquired() noexcept { entry_.wait_for_app_lock({}); }
  /// Respond for the application, if the call is still at `word`. False: it has moved on, or there
  /// is a response already.
  [[nodiscard]] bool expire(unsigned thread, ClaimWord word) {
    auto& exchange = threads_[thread].exchange;
    const auto taken = exchange.take(word);
    if (!taken) return false;
    mailbox_.post_expired(*taken->session, taken->when, sys_.now() - exchange.claim().since());
    return true;
  }
  /// Whether the leader has responded for the call of `word`, which still runs.
  [[nodiscard]] bool is_expired(unsigned thread, ClaimWord word) const noexcept {
    return threads_[thread].exchange.claim().taken(word);
  }
  /// Ignore the deadlines of this call: it is in a debugger.
  void suspend(unsigned thread, ClaimWord word) noexcept { deadlines_.suspend(thread, word); }
  /// Thread `replacement`, which was to replace `lost`, could not be started.
  void replacement_failed(unsigned lost, unsigned replacement) {
    const bool half = mutex_.with_lock([&](const Locked& locked) {
      threads_.replacement_failed(lost, replacement, locked);
      return threads_.half_lost(locked);
    });
    mailbox_.post_threads_changed();
    if (!half) return;
    ask_for_replacement("no thread could be started to replace iotax-" + std::to_string(lost));
  }
  /// Ask the supervisor for another worker; without a supervisor, log that the server must be
  /// restarted. Thread-safe.
  void ask_for_replacement(std::string_view why) {
    if (loop_.channel().report(Report::threads_lost, why)) return;
    if (supervised_ || asked_for_replacement_.exchange(true)) return;
    log_.server(Level::critical,
                "Too many threads of this process are lost; restart it, or let a supervisor do "
                "that (the command iotax without --workers 0)");
  }

 private:
  /// Reject the request of a thread that waits for the application lock for longer than its call
  /// could last: the call that keeps the lock may do so for long.
  void check_offer(const Lead& lead, unsigned thread) {
    const bool rejects = config_.request_timeout > core::Duration::zero() &&
                         config_.timeout_action != TimeoutAction::log;
    if (!rejects) return;
    auto& offer = threads_[thread].offer;
    const auto waiting = offer.look();
    if (!waiting) return;
    const core::Instant now = loop_.now();
    const core::Instant due = waiting->since + config_.request_timeout;
    if (now < due) {
      deadlines_.look_by(due);
      return;
    }
    // Counted first: the thread may return as soon as the offer is withdrawn.
    const bool first = stuck_.fetch_add(1) == 0;
    if (!offer.withdraw(*waiting)) {
      stuck_.fetch_sub(1);
      return;
    }
    loop_.requests().reject_unstarted(lead, *waiting->session);
    loop_.flush(lead);
    if (!first || !supervised_) return;
    update_accepting(lead);
    (void)loop_.channel().report(Report::threads_lost,
                                 "no call could begin for " +
                                     std::to_string((now - waiting->since) / 1ms) +
                                     " ms: one in progress holds the GIL (--request-timeout)");
  }

  /// Leave connections to other workers while no call can start in this one.
  void update_accepting(const Lead& lead) {
    const unsigned usable = mutex_.with_lock([&](const Locked& locked) {
      const bool none = threads_.all_lost(locked) || (supervised_ && is_stuck());
      return none ? 0 : threads_.present(locked);
    });
    loop_.acceptor().set_threads(lead, usable);
  }

  static void count_deadline(WatchKind kind) noexcept {
    static_assert(static_cast<std::size_t>(WatchKind::lost) + 1 == kDeadlines.size());
    count_here(CounterIndex::kDeadline + static_cast<std::size_t>(kind));
  }

  void notify(WatchKind kind, unsigned thread, ClaimWord word, core::Duration age,
              std::optional<unsigned> replacement = std::nullopt) {
    WatchEvent event;
    event.kind = kind;
    event.thread = thread;
    event.word = word;
    event.age = age;
    event.replacement = replacement ? static_cast<int>(*replacement) : -1;
    if (std::optional<Running> call = threads_[thread].call.read()) {
      event.line = std::move(call->line);
      event.id = std::move(call->id);
    }
    deadlines_.tell(std::move(event));
  }

  /// The thread did not return in time. If it is the only one, nothing more can be served;
  /// otherwise another replaces it, for up to half of them.
  void give_up_thread(const Lead& lead, unsigned thread, ClaimWord word) {
    std::optional<unsigned> replacement;
    const bool half = mutex_.with_lock([&](const Locked& locked) {
      replacement = threads_.lose(thread, locked);
      return threads_.half_lost(locked);
    });
    update_accepting(lead);
    std::string text = "iotax-" + std::to_string(thread) + " has not come back within " +
                       std::to_string(config_.timeout_grace / 1ms) +
                       " ms after --request-timeout (--request-timeout-grace)";
    if (const std::optional<Running> call = threads_[thread].call.read()) {
      text += ": ";
      append_escaped(text, call->line);
      text += " (" + call->id + ')';
    }
    log_.server(Level::error, "Thread " + text);
    count_deadline(WatchKind::lost);
    notify(WatchKind::lost, thread, word, {}, replacement);
    if (half) ask_for_replacement(text);
  }

  typename E::Sys& sys_;
  const Config& config_;
  Log& log_;
  StateMutex<E>& mutex_;
  Loop<E>& loop_;
  AppThreads<E>& threads_;
  Mailbox<E>& mailbox_;
  Dispatch<E>& dispatch_;
  WorkerEntry& entry_;
  Deadlines<E> deadlines_;
  bool supervised_ = false;
  std::atomic<bool> asked_for_replacement_{false};
  // Threads that wait for the application lock for requests that were withdrawn from them.
  Atomic<E, unsigned> stuck_{0};
};

}  // namespace iotax::driver
