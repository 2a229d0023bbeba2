// The scoreboard: what the workers of a server are doing, in memory that its other processes read:
// the requests in progress, a few numbers, and for the admin listener what they have counted.
// Writing needs no system call, and the memory outlives a killed writer. It decides the layout and
// how a reader gets a whole text or none; it must not know its readers.
//
// Everything consists of atomic words, initially zero. Each has one writer, unless noted otherwise.
// Texts use a seqlock without fences (ThreadSanitizer does not support those): a writer releases
// each word and a reader acquires it, so a reader that saw a word of a new text also sees that the
// version has changed.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/check.h"
#include "core/instant.h"
#include "driver/counters.h"
#include "driver/scoreboard/server_entry.h"
#include "driver/scoreboard/short_text.h"

namespace iotax::driver {

/// A copy of a call in progress.
struct Running {
  std::string line;
  std::string id;
  core::Instant since;
};

/// The call of one application thread. That thread calls begin() and end().
class alignas(64) CallEntry {
 public:
  void begin(const RequestLine& line, const RequestText& id, core::Instant now) noexcept {
    const std::uint64_t version = version_.load(std::memory_order_relaxed) + 1;
    version_.store(version, std::memory_order_relaxed);
    sizes_.store(line.view().size() << 32 | id.view().size(), std::memory_order_release);
    for (std::size_t n = 0, words = line.words(); n < words; ++n) {
      line_[n].store(line.word(n), std::memory_order_release);
    }
    for (std::size_t n = 0, words = id.words(); n < words; ++n) {
      id_[n].store(id.word(n), std::memory_order_release);
    }
    started_.store(now.time_since_epoch().count(), std::memory_order_release);
    version_.store(version + 1, std::memory_order_release);
  }
  void end() noexcept { started_.store(kIdle, std::memory_order_release); }
  /// Mark the call as not free: it has no thread.
  void close() noexcept { started_.store(kClosed, std::memory_order_release); }

  // ---- for any thread of any process
  [[nodiscard]] bool running() const noexcept {
    return started_.load(std::memory_order_relaxed) > 0;
  }
  [[nodiscard]] bool free() const noexcept {
    return started_.load(std::memory_order_relaxed) == kIdle;
  }
  /// Empty when no request runs, or one began during the read.
  [[nodiscard]] std::optional<Running> read() const {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const std::uint64_t version = version_.load(std::memory_order_acquire);
      const std::int64_t started = started_.load(std::memory_order_acquire);
      if (started <= 0) return std::nullopt;
      const std::uint64_t sizes = sizes_.load(std::memory_order_acquire);
      Running found{text(line_, sizes >> 32), text(id_, sizes & 0xffffffff),
                    core::Instant{core::Duration{started}}};
      if (version % 2 == 0 && version_.load(std::memory_order_relaxed) == version) return found;
    }
    return std::nullopt;
  }
  /// Clear the call after its writer has exited, perhaps during begin(). The caller must know that
  /// it has.
  void clear() noexcept {
    started_.store(kIdle, std::memory_order_release);
    const std::uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + version % 2, std::memory_order_release);
  }

 private:
  static constexpr std::int64_t kIdle = 0;
  static constexpr std::int64_t kClosed = -1;
  static constexpr int kAttempts = 100;

  template <std::size_t N>
  static std::string text(const std::array<std::atomic<std::uint64_t>, N>& words,
                          std::uint64_t bytes) {
    std::array<std::uint64_t, N> copy;
    if (bytes > sizeof copy) bytes = sizeof copy;  // torn: the version will differ
    const std::size_t used = (bytes + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t);
    for (std::size_t n = 0; n < used; ++n) copy[n] = words[n].load(std::memory_order_acquire);
    return {reinterpret_cast<const char*>(copy.data()), bytes};
  }

  std::atomic<std::int64_t> started_;   // monotonic clock, nanoseconds
  std::atomic<std::uint64_t> version_;  // odd while a text is being written
  std::atomic<std::uint64_t> sizes_;    // line << 32 | id
  std::array<std::atomic<std::uint64_t>, RequestText::kWords> id_;
  std::array<std::atomic<std::uint64_t>, RequestLine::kWords> line_;
};

/// The slot of one worker.
class alignas(64) WorkerEntry {
 public:
  // ---- by the leader
  void turn() noexcept {
    turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  /// Publish that the first `threads` of the calls have a thread and the worker accepts; 0: it does
  /// not.
  void serve(unsigned threads) noexcept { threads_.store(threads, std::memory_order_relaxed); }

  /// Publish how far the worker's clock, which all times here use, is behind the monotonic clock:
  /// it leaves out time in which the worker did not run.
  void leave_out(core::Duration time) noexcept {
    left_out_.store(time.count(), std::memory_order_relaxed);
  }

  // ---- by the thread that needs the application lock to handle deadlines
  /// Since when the thread waits for the application lock; Instant{}: it does not.
  void wait_for_app_lock(core::Instant since) noexcept {
    waits_since_.store(since.time_since_epoch().count(), std::memory_order_relaxed);
  }

  // ---- by the reader: whether it polls this slot
  void watch(bool on) noexcept { watched_.store(on ? 1 : 0); }
  // ---- by the worker: true if the reader does not poll this slot, so that the worker must notify
  // it
  [[nodiscard]] bool wants_watching() noexcept {
    return watched_.load(std::memory_order_relaxed) == 0 && watched_.exchange(1) == 0;
  }

  // ---- for any thread of any process
  [[nodiscard]] std::uint64_t turns() const noexcept {
    return turns_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] unsigned threads() const noexcept {
    return threads_.load(std::memory_order_relaxed);
  }
  /// Time elapsed on the worker's clock since `then`, which the worker wrote. `monotonic`: now.
  [[nodiscard]] core::Duration since(core::Instant then, core::Instant monotonic) const noexcept {
    const core::Duration behind{left_out_.load(std::memory_order_relaxed)};
    return std::max(core::Duration::zero(), monotonic - behind - then);
  }
  [[nodiscard]] bool watched() const noexcept { return watched_.load() != 0; }
  [[nodiscard]] core::Instant waits_for_app_lock_since() const noexcept {
    return core::Instant{core::Duration{waits_since_.load(std::memory_order_relaxed)}};
  }
  /// The worker has exited: another may use the slot.
  void clear() noexcept {
    threads_.store(0, std::memory_order_relaxed);
    waits_since_.store(0, std::memory_order_relaxed);
    turns_.store(0, std::memory_order_relaxed);
    left_out_.store(0, std::memory_order_relaxed);
    watched_.store(0);
  }

 private:
  std::atomic<std::uint64_t> turns_;
  std::atomic<std::int64_t> waits_since_;
  std::atomic<std::int64_t> left_out_;
  std::atomic<std::uint32_t> threads_;
  std::atomic<std::uint32_t> watched_;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              std::atomic<std::uint32_t>::is_always_lock_free);

/// A view of the shared memory; copies refer to the same memory.
class Scoreboard {
 public:
  static constexpr std::size_t kAlignment = 64;

  /// Calls per slot: lost threads are replaced up to half their number.
  [[nodiscard]] static constexpr unsigned calls_of(unsigned threads) noexcept {
    return threads + (threads + 1) / 2;
  }
  /// `counted`: with the entries for the admin listener.
  [[nodiscard]] static constexpr std::size_t bytes_of(unsigned slots, unsigned threads,
                                                      bool counted = false) noexcept {
    return slots * bytes_of_slot(threads, counted) + (counted ? sizeof(ServerEntry) : 0);
  }

  /// `memory` has bytes_of() bytes, initially zero, aligned to kAlignment, and is borrowed.
  Scoreboard(std::byte* memory, unsigned slots, unsigned threads, bool counted = false) noexcept
      : memory_(memory), slots_(slots), threads_(threads), counted_(counted) {}

  [[nodiscard]] std::byte* memory() const noexcept { return memory_; }
  [[nodiscard]] unsigned slots() const noexcept { return slots_; }
  [[nodiscard]] unsigned threads() const noexcept { return threads_; }
  [[nodiscard]] unsigned calls() const noexcept { return calls_of(threads_); }
  [[nodiscard]] WorkerEntry& worker(unsigned slot) const noexcept {
    return *reinterpret_cast<WorkerEntry*>(start_of(slot));
  }
  [[nodiscard]] CallEntry& call(unsigned slot, unsigned thread) const noexcept {
    IOTAX_CHECK(thread < calls());
    return *reinterpret_cast<CallEntry*>(start_of(slot) + sizeof(WorkerEntry) +
                                         thread * sizeof(CallEntry));
  }
  /// The number of idle threads of a slot that accepts, at most `enough`.
  [[nodiscard]] unsigned free_threads(unsigned slot, unsigned enough = 1) const noexcept {
    unsigned found = 0;
    const unsigned threads = worker(slot).threads();
    for (unsigned n = 0; n < threads && n < calls() && found < enough; ++n) {
      if (call(slot, n).free()) ++found;
    }
    return found;
  }
  [[nodiscard]] bool another_is_free(unsigned but) const noexcept {
    for (unsigned n = 0; n < slots_; ++n) {
      if (n != but && free_threads(n) != 0) return true;
    }
    return false;
  }
  /// Clear a slot. The caller must know that its worker has exited. What its threads counted stays,
  /// so that no counter decreases.
  void clear(unsigned slot) const noexcept {
    worker(slot).clear();
    for (unsigned n = 0; n < calls(); ++n) call(slot, n).clear();
    if (!counted_) return;
    CounterWords counts{};
    add_counters(slot, counts);
    gauges(slot)->clear(ended_in(counts), finished_in(counts));
  }

  // ---- for the admin listener; null without `counted`
  [[nodiscard]] bool counted() const noexcept { return counted_; }
  [[nodiscard]] ServerEntry* server() const noexcept {
    return counted_ ? at<ServerEntry>(slots_ * bytes_of_slot(threads_, true)) : nullptr;
  }
  [[nodiscard]] WorkerRecord* record(unsigned slot) const noexcept {
    return counted_ ? at<WorkerRecord>(counted_part_of(slot)) : nullptr;
  }
  [[nodiscard]] WorkerGauges* gauges(unsigned slot) const noexcept {
    return counted_ ? at<WorkerGauges>(counted_part_of(slot) + sizeof(WorkerRecord)) : nullptr;
  }
  /// `thread`: of an application thread, or calls() for the spare.
  [[nodiscard]] ThreadCounters* counters(unsigned slot, unsigned thread) const noexcept {
    IOTAX_CHECK(thread <= calls());
    return counted_ ? at<ThreadCounters>(counted_part_of(slot) + sizeof(WorkerRecord) +
                                         sizeof(WorkerGauges) + thread * sizeof(ThreadCounters))
                    : nullptr;
  }

  /// Add what all workers of a slot have counted. Only with `counted`.
  void add_counters(unsigned slot, CounterWords& total) const noexcept {
    for (unsigned n = 0; n <= calls(); ++n) counters(slot, n)->add_to(total);
  }

 private:
  [[nodiscard]] static constexpr std::size_t bytes_of_slot(unsigned threads,
                                                           bool counted) noexcept {
    const std::size_t calls = calls_of(threads);
    return sizeof(WorkerEntry) + calls * sizeof(CallEntry) +
           (counted
                ? sizeof(WorkerRecord) + sizeof(WorkerGauges) + (calls + 1) * sizeof(ThreadCounters)
                : 0);
  }
  template <class T>
  [[nodiscard]] T* at(std::size_t offset) const noexcept {
    static_assert(sizeof(T) % kAlignment == 0);
    return reinterpret_cast<T*>(memory_ + offset);
  }
  [[nodiscard]] std::byte* start_of(unsigned slot) const noexcept {
    IOTAX_CHECK(slot < slots_);
    return memory_ + slot * bytes_of_slot(threads_, counted_);
  }
  [[nodiscard]] std::size_t counted_part_of(unsigned slot) const noexcept {
    return static_cast<std::size_t>(start_of(slot) - memory_) + bytes_of_slot(threads_, false);
  }

  std::byte* memory_;
  unsigned slots_;
  unsigned threads_;
  bool counted_;
};

/// A worker's slot of the scoreboard.
struct Slot {
  /// For the admin listener; null: the server has none.
  [[nodiscard]] WorkerGauges* gauges() const noexcept { return scoreboard.gauges(number); }
  /// For `thread`, or for the spare if that is the number of calls.
  [[nodiscard]] ThreadCounters* counters(unsigned thread) const noexcept {
    return scoreboard.counters(number, thread);
  }

  Scoreboard scoreboard;
  unsigned number = 0;
};

/// A scoreboard for a single process.
class PrivateScoreboard {
 public:
  explicit PrivateScoreboard(unsigned threads, unsigned slots = 1, bool counted = false)
      : lines_(
            std::make_unique<Line[]>(Scoreboard::bytes_of(slots, threads, counted) / sizeof(Line))),
        slots_(slots),
        threads_(threads),
        counted_(counted) {}
  [[nodiscard]] Scoreboard scoreboard() const noexcept {
    return {lines_[0].bytes, slots_, threads_, counted_};
  }

 private:
  struct alignas(Scoreboard::kAlignment) Line {
    std::byte bytes[Scoreboard::kAlignment];
  };
  static_assert(sizeof(WorkerEntry) % sizeof(Line) == 0 && sizeof(CallEntry) % sizeof(Line) == 0);
  std::unique_ptr<Line[]> lines_;
  unsigned slots_;
  unsigned threads_;
  bool counted_;
};

}  // namespace iotax::driver
