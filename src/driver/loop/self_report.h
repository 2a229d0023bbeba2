// Publishes once a second, for the admin listener, that the loop turns and what the worker uses. It
// must not know who reads it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/instant.h"
#include "driver/counters.h"
#include "driver/env.h"
#include "driver/loop/acceptor.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/session_table.h"
#include "driver/loop/thread_times.h"
#include "driver/proof.h"
#include "driver/store/spool.h"

namespace iotax::driver {

/// For the leader.
template <Env E>
class SelfReport {
 public:
  /// All are borrowed.
  SelfReport(LoopBase<E>& loop, const SessionTable<E>& table, const Acceptor<E>& acceptor,
             const StorageBudget& budget)
      : loop_(loop),
        table_(table),
        acceptor_(acceptor),
        budget_(budget),
        times_(loop.config.counts ? Scoreboard::calls_of(loop.config.threads) : 0) {}

  /// Where application thread `thread` writes its times; null without an admin listener.
  [[nodiscard]] ThreadTimes* times(unsigned thread) noexcept {
    return thread < times_.size() ? &times_[thread] : nullptr;
  }

  /// Report from now on, if there is an admin listener.
  void begin() noexcept {
    if (loop_.config.counts) due_ = loop_.clock.now();
  }
  /// When to report; kNever: not at all.
  [[nodiscard]] core::Instant due() const noexcept { return due_; }
  /// Also when the worker has stopped.
  void report(const Lead& /*lead*/) noexcept {
    WorkerGauges* const gauges = loop_.slot.gauges();
    if (gauges == nullptr) return;
    due_ = loop_.clock.now() + kEvery;
    const ProcessUse use = loop_.sys.process_use();
    gauges->stamp.set((loop_.clock.now() + loop_.sys.left_out()).time_since_epoch().count());
    gauges->connections.set(table_.size());
    gauges->spool_bytes.set(loop_.config.spool_bytes_max - budget_.spool.left());
    gauges->queued_max.set(loop_.config.queued_max);
    gauges->resident_bytes.set(use.resident_bytes);
    add_growth(gauges->cpu_nanoseconds, cpu_, use.cpu);
    core::Duration busy{}, lock_wait{};
    for (const ThreadTimes& times : times_) {
      busy += times.busy.total(loop_.clock.now());
      lock_wait += times.lock_wait.total(loop_.clock.now());
    }
    add_growth(gauges->busy_nanoseconds, busy_, busy);
    add_growth(gauges->lock_wait_nanoseconds, lock_wait_, lock_wait);
    const LogCounts logged = loop_.log.counts();
    gauges->logs.add(logged, std::exchange(logged_, logged));
    report_backlogs();
  }
  /// The worker accepts no new work soon.
  void leave(const Lead& /*lead*/) const noexcept {
    if (WorkerGauges* const gauges = loop_.slot.gauges()) gauges->leaving.set(1);
  }

 private:
  static constexpr core::Duration kEvery = std::chrono::seconds{1};

  /// `word` continues where the former worker of the slot stopped.
  static void add_growth(SharedWord<std::uint64_t>& word, core::Duration& before,
                         core::Duration now) noexcept {
    if (now <= before) return;  // a period has begun after the time of the report
    word.add(static_cast<std::uint64_t>((now - before).count()));
    before = now;
  }

  /// A supervisor does this itself.
  void report_backlogs() noexcept {
    ServerEntry& server = *loop_.slot.scoreboard.server();
    if (server.stamp.get() != 0) return;
    std::size_t n = 0;
    for (const auto& listener : acceptor_.listeners()) {
      if (n == server.backlogs.size()) return;
      const Result<std::size_t> waiting = loop_.sys.backlog(listener->fd);
      server.backlogs[n++].set(waiting ? std::optional<std::uint64_t>(*waiting) : std::nullopt);
    }
  }

  LoopBase<E>& loop_;
  const SessionTable<E>& table_;
  const Acceptor<E>& acceptor_;
  const StorageBudget& budget_;
  std::vector<ThreadTimes> times_;  // of the application threads; empty: nothing is reported
  core::Instant due_ = core::kNever;
  // At the last report.
  core::Duration cpu_{};
  core::Duration busy_{};
  core::Duration lock_wait_{};
  LogCounts logged_;
};

}  // namespace iotax::driver
