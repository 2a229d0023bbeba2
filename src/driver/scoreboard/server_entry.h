// What the scoreboard says for the admin listener beside the calls: of the server and of each
// worker. All words start at zero. It decides who writes which word; it must not know its readers.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/instant.h"
#include "driver/counters.h"

namespace iotax::driver {

/// State of a worker as its supervisor knows it. `none`: the slot is free.
enum class WorkerState : std::uint8_t { none, booting, ready, draining };

/// Why workers have exited: the words of the hook child_exit.
inline constexpr std::array<std::string_view, 11> kExitCauses{
    "stop",  "reload", "max_requests", "lifetime", "memory", "threads_lost",
    "stuck", "crash",  "oom",          "boot",     "other"};

/// Listeners whose backlog is published.
inline constexpr std::size_t kBacklogsMax = 32;

/// Words with a single writer, read by any process.
template <class T>
class SharedWord {
 public:
  void set(T value) noexcept { word_.store(value, std::memory_order_relaxed); }
  void add(T more) noexcept { set(get() + more); }
  [[nodiscard]] T get() const noexcept { return word_.load(std::memory_order_relaxed); }

 private:
  std::atomic<T> word_;
};

/// A number that may be unknown, as it is at first.
class SharedNumber {
 public:
  void set(std::optional<std::uint64_t> value) noexcept { word_.set(value ? *value + 1 : 0); }
  [[nodiscard]] std::optional<std::uint64_t> get() const noexcept {
    const std::uint64_t word = word_.get();
    return word == 0 ? std::nullopt : std::optional(word - 1);
  }

 private:
  SharedWord<std::uint64_t> word_;  // 0: unknown; else 1 more than the number
};

/// What a process has logged, published by one of its threads.
struct SharedLogCounts {
  std::array<SharedWord<std::uint64_t>, kSeverities.size()> lines;
  std::array<SharedWord<std::uint64_t>, LogCounts{}.dropped.size()> dropped;

  /// The process has logged `now` in total, and `before` when it published last.
  void add(const LogCounts& now, const LogCounts& before) noexcept {
    for (std::size_t n = 0; n < lines.size(); ++n) lines[n].add(now.lines[n] - before.lines[n]);
    for (std::size_t n = 0; n < dropped.size(); ++n)
      dropped[n].add(now.dropped[n] - before.dropped[n]);
  }
  void add_to(LogCounts& total) const noexcept {
    for (std::size_t n = 0; n < lines.size(); ++n) total.lines[n] += lines[n].get();
    for (std::size_t n = 0; n < dropped.size(); ++n) total.dropped[n] += dropped[n].get();
  }
};

/// Written by the supervisor, or by the process itself if it has none.
struct alignas(64) ServerEntry {
  SharedWord<std::int64_t> stamp;    // monotonic clock, nanoseconds; 0: the server has none
  SharedWord<std::int64_t> started;  // since 1970, nanoseconds
  SharedWord<std::uint64_t> process_id;
  SharedWord<std::uint64_t> workers_wanted;
  SharedWord<std::uint64_t> slots_used;  // this many slots, from the first, may have had a worker
  SharedWord<std::uint64_t> starts;
  SharedWord<std::uint64_t> has_served;  // a worker has been ready
  SharedWord<std::uint64_t> stopping;
  std::array<SharedWord<std::uint64_t>, kExitCauses.size()> exits;
  SharedLogCounts logs;
  /// Of each listener, in their order: connections that wait to be accepted, if it is TCP.
  std::array<SharedNumber, kBacklogsMax> backlogs;
};

/// What the supervisor knows of the worker of a slot. Written by the supervisor.
struct alignas(64) WorkerRecord {
  SharedWord<std::uint64_t> state;  // WorkerState
  SharedWord<std::uint64_t> process_id;
  SharedWord<std::int64_t> started;  // since 1970, nanoseconds
};

/// Written by the leader of a worker; queue and lost threads by the holder of its mutex.
struct alignas(64) WorkerGauges {
  SharedWord<std::int64_t> stamp;  // of the last turn, at least once a second; 0: none yet
  SharedWord<std::uint64_t> leaving;
  SharedWord<std::uint64_t> connections;
  SharedWord<std::uint64_t> connections_max;
  SharedWord<std::uint64_t> queued;
  SharedWord<std::int64_t> queue_since;  // on the worker's clock; 0: nothing waits
  SharedWord<std::uint64_t> queued_max;
  SharedWord<std::uint64_t> threads_lost;
  SharedWord<std::uint64_t> spool_bytes;
  SharedWord<std::uint64_t> resident_bytes;
  // These continue with the next worker of the slot.
  SharedWord<std::uint64_t> accepted;
  SharedWord<std::uint64_t> begun;  // requests whose head was accepted, or rejected
  SharedWord<std::uint64_t> cpu_nanoseconds;
  SharedWord<std::uint64_t> busy_nanoseconds;       // of the application threads together
  SharedWord<std::uint64_t> lock_wait_nanoseconds;  // waits for the application lock
  SharedLogCounts logs;

  // Of earlier workers of the slot.
  SharedWord<std::uint64_t> ended_before;
  SharedWord<std::uint64_t> unfinished_before;  // requests that were in progress when one exited

  /// Another worker gets the slot, in which `ended` requests have ended so far, and `finished` are
  /// not in progress.
  void clear(std::uint64_t ended, std::uint64_t finished) noexcept {
    ended_before.set(ended);
    unfinished_before.set(begun.get() - finished);
    stamp.set(0);
    leaving.set(0);
    connections.set(0);
    connections_max.set(0);
    queued.set(0);
    queue_since.set(0);
    queued_max.set(0);
    threads_lost.set(0);
    spool_bytes.set(0);
    resident_bytes.set(0);
  }
};

}  // namespace iotax::driver
