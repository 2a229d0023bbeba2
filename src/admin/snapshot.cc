#include "admin/snapshot.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "driver/log/escape.h"

namespace iotax::admin {
namespace {

using driver::CounterIndex;
using driver::CounterWords;
using driver::Scoreboard;
using driver::WorkerState;

/// The sum of `count` words from `first` on.
std::uint64_t sum(const CounterWords& words, std::size_t first, std::size_t count) noexcept {
  return std::accumulate(words.begin() + static_cast<std::ptrdiff_t>(first),
                         words.begin() + static_cast<std::ptrdiff_t>(first + count),
                         std::uint64_t{0});
}

/// 0 if `less` is greater: another thread has written it later.
std::uint64_t difference(std::uint64_t more, std::uint64_t less) noexcept {
  return more > less ? more - less : 0;
}

void read_calls(WorkerSnapshot& worker, const Scoreboard& scoreboard, unsigned slot,
                core::Instant now) {
  const driver::WorkerEntry& entry = scoreboard.worker(slot);
  for (unsigned n = 0; n < scoreboard.calls(); ++n) {
    const std::optional<driver::Running> call = scoreboard.call(slot, n).read();
    if (!call) continue;
    RunningRequest& running = worker.running.emplace_back();
    driver::append_escaped(running.line, call->line);
    driver::append_escaped(running.id, call->id);
    running.age = entry.since(call->since, now);
  }
  worker.threads_idle = scoreboard.free_threads(slot, scoreboard.calls());
  worker.threads_busy =
      worker.running.size() - std::min<std::size_t>(worker.threads_lost, worker.running.size());
}

/// `words`: counted by the workers of this slot.
WorkerSnapshot read_worker(const Scoreboard& scoreboard, unsigned slot, core::Instant now,
                           const CounterWords& words) {
  const driver::WorkerRecord& record = *scoreboard.record(slot);
  const driver::WorkerGauges& gauges = *scoreboard.gauges(slot);
  WorkerSnapshot worker;
  worker.number = slot + 1;
  worker.process_id = record.process_id.get();
  worker.state = static_cast<WorkerState>(record.state.get());
  worker.accepts = worker.state == WorkerState::ready && gauges.leaving.get() == 0;
  worker.stamp = core::Instant{core::Duration{gauges.stamp.get()}};
  worker.started = core::Duration{record.started.get()};
  worker.threads_lost = gauges.threads_lost.get();
  worker.queued = gauges.queued.get();
  worker.queued_max = gauges.queued_max.get();
  const core::Instant waits{core::Duration{gauges.queue_since.get()}};
  if (waits != core::Instant{}) worker.queue_age = scoreboard.worker(slot).since(waits, now);
  worker.connections = gauges.connections.get();
  worker.connections_busy = std::min(
      difference(gauges.begun.get(), driver::finished_in(words) + gauges.unfinished_before.get()),
      worker.connections);
  worker.connections_max = gauges.connections_max.get();
  worker.spool_bytes = gauges.spool_bytes.get();
  worker.resident_bytes = gauges.resident_bytes.get();
  worker.requests = difference(driver::ended_in(words), gauges.ended_before.get());
  read_calls(worker, scoreboard, slot, now);
  return worker;
}

}  // namespace

std::uint64_t Snapshot::requests() const noexcept { return driver::ended_in(counts); }

std::uint64_t Snapshot::rejected() const noexcept {
  return sum(counts, CounterIndex::kRejected, driver::kRejections.size());
}

Snapshot take_snapshot(const Scoreboard& scoreboard, core::Instant now, core::Duration unix_time) {
  const driver::ServerEntry& server = *scoreboard.server();
  Snapshot taken;
  taken.now = now;
  taken.stamp = core::Instant{core::Duration{server.stamp.get()}};
  taken.unix_time = unix_time;
  taken.started = core::Duration{server.started.get()};
  taken.process_id = server.process_id.get();
  taken.workers_wanted = server.workers_wanted.get();
  taken.starts = server.starts.get();
  taken.has_served = server.has_served.get() != 0;
  taken.stopping = server.stopping.get() != 0;
  for (std::size_t n = 0; n < taken.exits.size(); ++n) taken.exits[n] = server.exits[n].get();
  server.logs.add_to(taken.logs);
  for (std::size_t n = 0; n < taken.backlogs.size(); ++n)
    taken.backlogs[n] = server.backlogs[n].get();
  const auto slots =
      static_cast<unsigned>(std::min<std::uint64_t>(server.slots_used.get(), scoreboard.slots()));
  for (unsigned slot = 0; slot < slots; ++slot) {
    CounterWords words{};
    scoreboard.add_counters(slot, words);
    for (std::size_t n = 0; n < words.size(); ++n) taken.counts[n] += words[n];
    const driver::WorkerGauges& gauges = *scoreboard.gauges(slot);
    taken.accepted += gauges.accepted.get();
    taken.busy_nanoseconds += gauges.busy_nanoseconds.get();
    taken.lock_wait_nanoseconds += gauges.lock_wait_nanoseconds.get();
    gauges.logs.add_to(taken.logs);
    taken.cpu_nanoseconds.push_back(gauges.cpu_nanoseconds.get());
    if (scoreboard.record(slot)->state.get() != static_cast<std::uint64_t>(WorkerState::none)) {
      taken.workers.push_back(read_worker(scoreboard, slot, now, words));
    }
  }
  return taken;
}

std::string_view word_of(WorkerState state) noexcept {
  switch (state) {
    case WorkerState::none:
      return "none";
    case WorkerState::booting:
      return "booting";
    case WorkerState::ready:
      return "ready";
    case WorkerState::draining:
      return "draining";
  }
  return {};
}

}  // namespace iotax::admin
