// Decides which application thread runs a request that the leader does not run itself: the queue,
// the idle threads, and direct dispatch. It must not know how a request runs.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/config.h"
#include "driver/env.h"
#include "driver/log/escape.h"
#include "driver/log/log.h"
#include "driver/loop/fifo.h"
#include "driver/loop/loop.h"
#include "driver/proof.h"
#include "driver/session/session.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/busy_watch.h"
#include "driver/threads/slow_share.h"
#include "driver/threads/tuning.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

template <Env E>
class Dispatch {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed.
  Dispatch(WorkerBase<E>& base, AppThreads<E>& threads) noexcept
      : sys_(base.sys),
        config_(base.config),
        log_(base.log),
        tuning_(base.tuning),
        mutex_(base.mutex),
        loop_(base.loop),
        threads_(threads),
        gauges_(base.slot.gauges()) {}

  // ---- the queue

  [[nodiscard]] bool has_queued(const Locked& /*locked*/) const noexcept { return !queue_.empty(); }
  /// The number of queued requests. Thread-safe.
  [[nodiscard]] std::size_t queued() const noexcept {
    return queued_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] Session& pop(const Locked& /*locked*/) noexcept {
    Session& s = *queue_.pop();
    publish_size();
    return s;
  }
  /// An application thread leads: it runs the queued requests first.
  void take_queue(const Lead& /*lead*/, const Locked& /*locked*/) {
    while (!queue_.empty()) loop_.ready().push(queue_.pop());
    publish_size();
    loop_.set_queue_since(core::kNever, {});
    loop_.set_busy_due(core::kNever);
  }
  /// Queue ready requests for threads without the lead; reject those that have waited too long.
  /// `stuck`: no call can start, so each request waits for --request-timeout at most.
  void enqueue_ready(const Lead& lead, const Locked& locked, bool stuck) {
    RequestQueue<E>& requests = loop_.requests();
    const bool hopeless = threads_.all_lost(locked);
    while (hopeless && !queue_.empty()) requests.reject_no_thread(lead, *queue_.pop());
    // A request that an idle or woken thread will take does not wait.
    const std::size_t room = config_.queued_max + idle_.size() + (waking_ ? 1 : 0);
    while (!loop_.ready().empty()) {
      Session* const s = loop_.ready().pop();
      if (hopeless) {
        requests.reject_no_thread(lead, *s);
      } else if (queue_.size() < room) {
        queue_.push(s);
      } else {
        requests.reject_queue_full(lead, *s);
      }
    }
    while (!queue_.empty() && !requests.admit(*queue_.front(), loop_.now())) {
      requests.completed(lead, *queue_.pop());
    }
    while (stuck && !queue_.empty() &&
           loop_.now() - queue_.front()->stream.ready_at >= config_.request_timeout) {
      requests.reject_unstarted(lead, *queue_.pop());
    }
    loop_.flush(lead);
    publish_size();
    loop_.set_queue_since(queue_.empty() ? core::kNever : queue_.front()->stream.ready_at,
                          stuck ? config_.request_timeout : config_.queue_timeout);
  }

  // ---- idle threads

  [[nodiscard]] std::size_t idle(const Locked& /*locked*/) const noexcept { return idle_.size(); }
  void push_idle(unsigned thread, const Locked& /*locked*/) { idle_.push_back(thread); }
  [[nodiscard]] unsigned pop_idle(const Locked& /*locked*/) noexcept {
    const unsigned thread = idle_.back();
    idle_.pop_back();
    return thread;
  }
  [[nodiscard]] std::vector<unsigned> take_idle(const Locked& /*locked*/) noexcept {
    return std::exchange(idle_, {});
  }
  /// Select a thread for the queue; the caller wakes it without the mutex. Empty: none is idle, or
  /// a woken one has not arrived yet.
  [[nodiscard]] std::optional<unsigned> wake_one(const Locked& locked) {
    if (waking_ || idle_.empty() || queue_.empty()) return std::nullopt;
    waking_ = true;
    const unsigned thread = pop_idle(locked);
    threads_.mark(thread, kWakeRequest);
    return thread;
  }
  /// `thread` has the application lock, or will not run a queued request: the next thread may be
  /// woken. So at most one woken thread waits for the lock.
  void arrived(AppThreadState<E>& thread, const Locked& /*locked*/) noexcept {
    if (std::exchange(thread.incoming, false)) waking_ = false;
  }
  /// Called by `thread` before its call: wake the next one for the queue.
  void wake_next(AppThreadState<E>& thread) {
    if (!thread.incoming && queued() == 0) return;
    threads_.wake(mutex_.with_lock([&](const Locked& locked) {
      arrived(thread, locked);
      return wake_one(locked);
    }));
  }

  // ---- direct dispatch

  /// Whether calls were slow recently, so that requests go directly to idle threads.
  [[nodiscard]] bool direct() const noexcept { return direct_.load(std::memory_order_relaxed); }
  void begin_direct_if_slow(const Locked& /*locked*/) noexcept {
    if (share_.high()) direct_.store(true, std::memory_order_relaxed);
  }
  void end_direct_if_quick(const Locked& /*locked*/) noexcept {
    if (direct() && share_.low()) direct_.store(false, std::memory_order_relaxed);
  }
  /// For a thread that kept the lead during its call.
  void record_quick_call() noexcept { share_.quick(); }
  /// For a thread whose call started at `called`.
  void record_call(core::Instant called) {
    if (sys_.now() - called > tuning_.slow) {
      share_.slow();
    } else {
      share_.quick();
    }
  }

  // ---- the warning that all threads are busy

  void one_is_free(const Locked& /*locked*/) noexcept { busy_.one_is_free(); }
  /// Log it if all threads were busy for a while and requests wait.
  void warn_if_busy(const Lead& /*lead*/, const Locked& locked) {
    const core::Instant now = loop_.now();
    if (idle_.empty()) {
      busy_.all_busy(now);
    } else {
      busy_.one_is_free();
    }
    if (now >= busy_.due(queue_.size())) {
      busy_.said(now);
      log_.server(Level::warning, describe_busy(locked));
    }
    loop_.set_busy_due(busy_.due(queue_.size()));
  }

 private:
  void publish_size() noexcept {
    queued_.store(queue_.size(), std::memory_order_relaxed);
    if (gauges_ == nullptr) return;
    gauges_->queued.set(queue_.size());
    gauges_->queue_since.set(
        queue_.empty() ? 0 : queue_.front()->stream.ready_at.time_since_epoch().count());
  }

  [[nodiscard]] std::string describe_busy(const Locked& locked) {
    std::size_t running = 0;
    std::optional<Running> oldest;
    for (unsigned thread = 0; thread < threads_.size(); ++thread) {
      std::optional<Running> call = threads_[thread].call.read();
      if (!call) continue;
      ++running;
      if (!oldest || call->since < oldest->since) oldest = std::move(call);
    }
    const std::string present = std::to_string(threads_.present(locked));
    std::string text = std::to_string(running) + " of " + present + " threads busy";
    if (oldest) {
      text += " (";
      append_escaped(text, oldest->line);
      text += ", " + std::to_string((loop_.now() - oldest->since) / 1s) + " s)";
    }
    text += "; " + std::to_string(queue_.size());
    text += queue_.size() == 1 ? " request waiting" : " requests waiting";
    return text + "; --threads N gives more";
  }

  typename E::Sys& sys_;
  const Config& config_;
  Log& log_;
  const LeadTuning& tuning_;
  StateMutex<E>& mutex_;
  Loop<E>& loop_;
  AppThreads<E>& threads_;
  WorkerGauges* const gauges_;  // null: the server has no admin listener

  // Protected by the mutex.
  Fifo<Session*> queue_;        // ready requests for threads without the lead
  std::vector<unsigned> idle_;  // last in, first out: warm caches
  bool waking_ = false;         // a woken thread does not have the application lock yet
  BusyWatch busy_;
  // Also read without the mutex.
  Atomic<E, std::size_t> queued_{0};
  std::atomic<bool> direct_{false};
  SlowShare share_;
};

}  // namespace iotax::driver
