// Publishes once a second, for the admin listener, that the loop turns and what the worker uses. It
// must not know who reads it.
#pragma once

#include <chrono>

#include "core/instant.h"
#include "driver/env.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/session_table.h"
#include "driver/proof.h"
#include "driver/store/spool.h"

namespace iotax::driver {

/// For the leader.
template <Env E>
class SelfReport {
 public:
  /// All are borrowed.
  SelfReport(LoopBase<E>& loop, const SessionTable<E>& table, const StorageBudget& budget) noexcept
      : loop_(loop), table_(table), budget_(budget) {}

  /// Report from now on, if there is an admin listener.
  void begin() noexcept {
    if (loop_.config.counts) due_ = loop_.clock.now();
  }
  /// When to report; kNever: not at all.
  [[nodiscard]] core::Instant due() const noexcept { return due_; }
  void report(const Lead& /*lead*/) noexcept {
    due_ = loop_.clock.now() + kEvery;
    WorkerGauges* const gauges = loop_.slot.gauges();
    if (gauges == nullptr) return;
    const ProcessUse use = loop_.sys.process_use();
    gauges->stamp.set((loop_.clock.now() + loop_.sys.left_out()).time_since_epoch().count());
    gauges->connections.set(table_.size());
    gauges->spool_bytes.set(loop_.config.spool_bytes_max - budget_.spool.left());
    gauges->queued_max.set(loop_.config.queued_max);
    gauges->resident_bytes.set(use.resident_bytes);
    if (use.cpu > cpu_)
      gauges->cpu_nanoseconds.add(static_cast<std::uint64_t>((use.cpu - cpu_).count()));
    cpu_ = use.cpu;
  }
  /// The worker accepts no new work soon.
  void leave(const Lead& /*lead*/) const noexcept {
    if (WorkerGauges* const gauges = loop_.slot.gauges()) gauges->leaving.set(1);
  }

 private:
  static constexpr core::Duration kEvery = std::chrono::seconds{1};

  LoopBase<E>& loop_;
  const SessionTable<E>& table_;
  const StorageBudget& budget_;
  core::Instant due_ = core::kNever;
  core::Duration cpu_{};  // used at the last report
};

}  // namespace iotax::driver
