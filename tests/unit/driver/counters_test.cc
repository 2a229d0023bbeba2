// What threads count for the admin listener: labels, buckets, and that nothing decreases.
#include "driver/counters.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "driver/log/access_line.h"
#include "driver/scoreboard/scoreboard.h"
#include "support/watched_rig.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Config;
using driver::counted_method;
using driver::counted_rejection;
using driver::counted_status;
using driver::CounterIndex;
using driver::CounterWords;
using driver::Counting;
using driver::kBuckets;
using driver::PrivateScoreboard;
using driver::Scoreboard;
using driver::ThreadCounters;
using driver::Timed;
using support::WatchedRig;

CounterWords all_of(const ThreadCounters& counters) {
  CounterWords words{};
  counters.add_to(words);
  return words;
}

TEST(Counters, AStatusBelongsToItsClass) {
  EXPECT_EQ(driver::kCountedStatuses[counted_status(200)], "2xx");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(299)], "2xx");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(300)], "3xx");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(404)], "4xx");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(498)], "4xx");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(499)], "499");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(500)], "5xx");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(999)], "5xx");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(0)], "none");
  EXPECT_EQ(driver::kCountedStatuses[counted_status(-1)], "none");
}

TEST(Counters, MethodsThatAreNotListedAreOneLabel) {
  for (const std::string_view method : driver::kCountedMethods) {
    EXPECT_EQ(driver::kCountedMethods[counted_method(method)], method);
  }
  EXPECT_EQ(driver::kCountedMethods[counted_method("PROPFIND")], "other");
  EXPECT_EQ(driver::kCountedMethods[counted_method("get")], "other");
  EXPECT_EQ(driver::kCountedMethods[counted_method("")], "other");
}

TEST(Counters, OnlyWordsOfTheServerAreReasons) {
  for (const std::string_view word : driver::kRejections) {
    EXPECT_EQ(driver::kRejections[counted_rejection(word)], word);
  }
  EXPECT_EQ(counted_rejection("ValueError"), driver::kRejections.size());
  EXPECT_EQ(counted_rejection(""), driver::kRejections.size());
}

TEST(Counters, ABucketIncludesItsLimit) {
  for (std::size_t n = 0; n < kBuckets.size(); ++n) {
    const auto counters = std::make_unique<ThreadCounters>();
    counters->observe(Timed::queue, kBuckets[n]);
    counters->observe(Timed::queue, kBuckets[n] + 1ns);
    const CounterWords words = all_of(*counters);
    const std::size_t first = CounterIndex::histogram(Timed::queue);
    EXPECT_EQ(words[first + n], 1U) << n;
    EXPECT_EQ(words[first + n + 1], 1U) << n;
    EXPECT_EQ(words[first + kBuckets.size() + 1],
              static_cast<std::uint64_t>((2 * kBuckets[n] + 1ns).count()));
  }
}

TEST(Counters, AClockThatWentBackCountsAsNoTime) {
  const auto counters = std::make_unique<ThreadCounters>();
  counters->observe(Timed::app, -5s);
  const CounterWords words = all_of(*counters);
  EXPECT_EQ(words[CounterIndex::histogram(Timed::app)], 1U);
  EXPECT_EQ(words[CounterIndex::histogram(Timed::app) + kBuckets.size() + 1], 0U);
}

TEST(Counters, EveryCountHasItsOwnWord) {
  std::vector<int> seen(CounterIndex::kWords);
  for (std::size_t by = 0; by < CounterIndex::kResponders; ++by) {
    for (std::size_t m = 0; m < driver::kCountedMethods.size(); ++m) {
      for (std::size_t s = 0; s < driver::kCountedStatuses.size(); ++s) {
        ++seen[CounterIndex::request(by, m, s)];
      }
    }
  }
  for (std::size_t n = 0; n < CounterIndex::kEnds; ++n) ++seen[CounterIndex::kEnded + n];
  for (std::size_t n = 0; n < driver::kRejections.size(); ++n) ++seen[CounterIndex::kRejected + n];
  for (const Timed what : {Timed::request, Timed::queue, Timed::app}) {
    for (std::size_t n = 0; n < CounterIndex::kHistogramWords; ++n) {
      ++seen[CounterIndex::histogram(what) + n];
    }
  }
  ++seen[CounterIndex::kReceivedBytes];
  ++seen[CounterIndex::kSentBytes];
  ++seen[CounterIndex::kHealthRequests];
  ++seen[CounterIndex::kWaited];
  for (std::size_t n = 0; n < driver::kDeadlines.size(); ++n) ++seen[CounterIndex::kDeadline + n];
  EXPECT_EQ(seen, std::vector<int>(CounterIndex::kWords, 1));
}

TEST(Counters, AThreadCountsNowhereUnlessItIsTold) {
  EXPECT_EQ(driver::counters_of_thread, nullptr);
  const auto counters = std::make_unique<ThreadCounters>();
  driver::count_here(CounterIndex::kWaited);
  {
    const Counting here(counters.get());
    EXPECT_EQ(driver::counters_of_thread, counters.get());
    driver::count_here(CounterIndex::kWaited, 2);
  }
  EXPECT_EQ(all_of(*counters)[CounterIndex::kWaited], 2U);
  EXPECT_EQ(driver::counters_of_thread, nullptr);
}

TEST(Counters, WhatAWorkerCountedStaysWhenItsSlotIsCleared) {
  const PrivateScoreboard memory(2, 3, true);
  const Scoreboard scoreboard = memory.scoreboard();
  scoreboard.counters(1, 0)->add(CounterIndex::kEnded, 5);
  scoreboard.counters(1, scoreboard.calls())->add(CounterIndex::kEnded, 2);
  scoreboard.gauges(1)->accepted.add(7);
  scoreboard.gauges(1)->queued.set(3);
  scoreboard.clear(1);
  EXPECT_EQ(all_of(*scoreboard.counters(1, 0))[CounterIndex::kEnded], 5U);
  EXPECT_EQ(all_of(*scoreboard.counters(1, scoreboard.calls()))[CounterIndex::kEnded], 2U);
  EXPECT_EQ(scoreboard.gauges(1)->accepted.get(), 7U);
  EXPECT_EQ(scoreboard.gauges(1)->queued.get(), 0U);
}

TEST(Counters, PartsOfTheMemoryDoNotOverlap) {
  constexpr unsigned kSlots = 3, kThreads = 2;
  const PrivateScoreboard memory(kThreads, kSlots, true);
  const Scoreboard scoreboard = memory.scoreboard();
  std::vector<std::pair<std::byte*, std::size_t>> parts;
  const auto add = [&]<class T>(T* part) {
    parts.emplace_back(reinterpret_cast<std::byte*>(part), sizeof(T));
  };
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    add(&scoreboard.worker(slot));
    for (unsigned n = 0; n < scoreboard.calls(); ++n) add(&scoreboard.call(slot, n));
    add(scoreboard.record(slot));
    add(scoreboard.gauges(slot));
    for (unsigned n = 0; n <= scoreboard.calls(); ++n) add(scoreboard.counters(slot, n));
  }
  add(scoreboard.server());
  std::byte* next = scoreboard.memory();
  for (const auto& [start, bytes] : parts) {
    EXPECT_EQ(start, next);
    next = start + bytes;
  }
  EXPECT_EQ(static_cast<std::size_t>(next - scoreboard.memory()),
            Scoreboard::bytes_of(kSlots, kThreads, true));
}

TEST(Counters, AScoreboardWithoutThemHasNone) {
  const PrivateScoreboard memory(2);
  EXPECT_EQ(memory.scoreboard().server(), nullptr);
  EXPECT_EQ(memory.scoreboard().record(0), nullptr);
  EXPECT_EQ(memory.scoreboard().gauges(0), nullptr);
  EXPECT_EQ(memory.scoreboard().counters(0, 0), nullptr);
}

}  // namespace
}  // namespace iotax
