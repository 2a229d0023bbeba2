// What a thread has counted: words that only this thread writes and any process may read. It
// decides the layout and the labels; it must not know who reads them, or where they are stored.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/instant.h"

namespace iotax::driver {

/// Labels of requests. A method that is not listed is the last one.
inline constexpr std::array<std::string_view, 8> kCountedMethods{
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"};
inline constexpr std::array<std::string_view, 6> kCountedStatuses{"2xx", "3xx", "4xx",
                                                                  "5xx", "499", "none"};
/// Deadlines of calls: --slow-request, --request-timeout, and a thread that did not return.
inline constexpr std::array<std::string_view, 3> kDeadlines{"slow", "timeout", "lost"};
/// Why the server responded in place of the application; the words of the access log.
inline constexpr std::array<std::string_view, 11> kRejections{
    "malformed",     "method",    "too_large", "slow",     "proxy_protocol", "queue_full",
    "queue_timeout", "no_thread", "no_room",   "deadline", "app_error"};

/// Upper bounds of the buckets of a histogram; the last bucket has none.
inline constexpr std::array<core::Duration, 16> kBuckets{
    std::chrono::microseconds{500}, std::chrono::milliseconds{1},   std::chrono::microseconds{2500},
    std::chrono::milliseconds{5},   std::chrono::milliseconds{10},  std::chrono::milliseconds{25},
    std::chrono::milliseconds{50},  std::chrono::milliseconds{100}, std::chrono::milliseconds{250},
    std::chrono::milliseconds{500}, std::chrono::seconds{1},        std::chrono::milliseconds{2500},
    std::chrono::seconds{5},        std::chrono::seconds{10},       std::chrono::seconds{30},
    std::chrono::seconds{60}};

/// Durations that have a histogram.
enum class Timed : std::uint8_t { request, queue, app };
inline constexpr std::size_t kTimed = 3;

/// Where each count stands in CounterWords.
struct CounterIndex {
  static constexpr std::size_t kResponders = 2;  // By
  static constexpr std::size_t kEnds = 8;        // End
  static constexpr std::size_t kHistogramWords = kBuckets.size() + 2;

  static constexpr std::size_t request(std::size_t by, std::size_t method,
                                       std::size_t status) noexcept {
    return (by * kCountedMethods.size() + method) * kCountedStatuses.size() + status;
  }
  static constexpr std::size_t kEnded =
      kResponders * kCountedMethods.size() * kCountedStatuses.size();
  static constexpr std::size_t kRejected = kEnded + kEnds;
  static constexpr std::size_t kHistograms = kRejected + kRejections.size();
  /// The first bucket; the sum in nanoseconds follows the last one.
  static constexpr std::size_t histogram(Timed what) noexcept {
    return kHistograms + static_cast<std::size_t>(what) * kHistogramWords;
  }
  static constexpr std::size_t kReceivedBytes = kHistograms + kTimed * kHistogramWords;
  static constexpr std::size_t kSentBytes = kReceivedBytes + 1;
  static constexpr std::size_t kHealthRequests = kSentBytes + 1;
  static constexpr std::size_t kWaited = kHealthRequests + 1;
  static constexpr std::size_t kDeadline = kWaited + 1;
  static constexpr std::size_t kWords = kDeadline + kDeadlines.size();
};

/// Entries of the server log by severity (Level), and lines that were dropped of the access log and
/// of the server log.
inline constexpr std::array<std::string_view, 5> kSeverities{"debug", "info", "warning", "error",
                                                             "critical"};
struct LogCounts {
  std::array<std::uint64_t, kSeverities.size()> lines{};
  std::array<std::uint64_t, 2> dropped{};
};

using CounterWords = std::array<std::uint64_t, CounterIndex::kWords>;

/// Requests that have ended, in whatever way.
[[nodiscard]] constexpr std::uint64_t ended_in(const CounterWords& words) noexcept {
  std::uint64_t ended = 0;
  for (std::size_t n = 0; n < CounterIndex::kEnds; ++n) ended += words[CounterIndex::kEnded + n];
  return ended;
}
/// Requests that are no longer in progress: those that have ended, and those to the health path.
[[nodiscard]] constexpr std::uint64_t finished_in(const CounterWords& words) noexcept {
  return ended_in(words) + words[CounterIndex::kHealthRequests];
}

/// Of one thread of a worker. The words start at zero and never decrease: a thread of the next
/// worker in the same place continues to count.
class alignas(64) ThreadCounters {
 public:
  // ---- by the thread
  void add(std::size_t index, std::uint64_t more = 1) noexcept {
    std::atomic<std::uint64_t>& word = words_[index];
    word.store(word.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
  [[gnu::always_inline]] void observe(Timed what, core::Duration took) noexcept {
    const std::size_t first = CounterIndex::histogram(what);
    took = std::max(took, core::Duration::zero());
    add(took <= kBuckets[0] ? first : first + bucket_above_first(took));
    add(first + kBuckets.size() + 1, static_cast<std::uint64_t>(took.count()));
  }

  // ---- for any thread of any process
  void add_to(CounterWords& total) const noexcept {
    for (std::size_t n = 0; n < words_.size(); ++n) {
      total[n] += words_[n].load(std::memory_order_relaxed);
    }
  }

 private:
  [[gnu::noinline]] static std::size_t bucket_above_first(core::Duration took) noexcept {
    std::size_t bucket = 1;
    while (bucket < kBuckets.size() && took > kBuckets[bucket]) ++bucket;
    return bucket;
  }

  std::array<std::atomic<std::uint64_t>, CounterIndex::kWords> words_;
};

/// Where the calling thread counts; null: nowhere. In the thread, because the code that counts is
/// called in many ways.
inline constinit thread_local ThreadCounters* counters_of_thread = nullptr;

/// Lets the calling thread count in `counters` (null: nowhere) while it exists.
class Counting {
 public:
  explicit Counting(ThreadCounters* counters) noexcept { counters_of_thread = counters; }
  Counting(const Counting&) = delete;
  ~Counting() { counters_of_thread = nullptr; }
};

/// Count in the words of the calling thread, if it has some.
inline void count_here(std::size_t index, std::uint64_t more = 1) noexcept {
  if (ThreadCounters* const counters = counters_of_thread) counters->add(index, more);
}

[[nodiscard]] constexpr std::size_t counted_method(std::string_view method) noexcept {
  if (method.size() == 3 && method[0] == 'G' && method[1] == 'E' && method[2] == 'T') return 0;
  std::size_t n = 0;
  while (n + 1 < kCountedMethods.size() && kCountedMethods[n] != method) ++n;
  return n;
}
/// `status`: as in the access log; 0 or less: no response.
[[nodiscard]] constexpr std::size_t counted_status(int status) noexcept {
  if (status >= 200 && status < 300) return 0;
  if (status == 499) return 4;
  return status < 200 ? 5 : std::min<std::size_t>(static_cast<std::size_t>(status) / 100 - 2, 3);
}
/// kRejections.size(): none.
[[nodiscard]] constexpr std::size_t counted_rejection(std::string_view word) noexcept {
  std::size_t n = 0;
  while (n < kRejections.size() && kRejections[n] != word) ++n;
  return n;
}
/// Other words are not counted.
[[gnu::cold]] inline void count_rejection(ThreadCounters& counters,
                                          std::string_view word) noexcept {
  const std::size_t reason = counted_rejection(word);
  if (reason < kRejections.size()) counters.add(CounterIndex::kRejected + reason);
}

}  // namespace iotax::driver
