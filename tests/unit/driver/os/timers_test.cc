// The timer wheel against a model: nothing early, nothing lost, at most one tick late.
#include "driver/os/timers.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <chrono>
#include <map>
#include <vector>

namespace iotax::driver {
namespace {

using core::Duration;
using core::Instant;
using core::kNever;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant at(Duration d) { return Instant{d}; }

std::vector<TimerEntry*> expired(Timers& timers, Instant now) {
  std::vector<TimerEntry*> due;
  timers.expire(now, [&](TimerEntry& entry) { due.push_back(&entry); });
  return due;
}

TEST(Timers, EmptyWheelNeverWakes) {
  Timers timers;
  EXPECT_EQ(timers.next(), kNever);
  EXPECT_TRUE(expired(timers, at(seconds{100})).empty());
  EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, FireWithinOneTickAfterTheDeadline) {
  Timers timers;
  TimerEntry entry;
  timers.set(entry, at(milliseconds{100}));
  EXPECT_GE(timers.next(), at(milliseconds{100}));
  EXPECT_LE(timers.next(), at(milliseconds{100}) + Timers::kTick);
  EXPECT_TRUE(expired(timers, at(milliseconds{99})).empty());
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entry});
  EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, ALaterDeadlineMovesWhenItsSlotIsReached) {
  Timers timers;
  TimerEntry entry;
  timers.set(entry, at(milliseconds{100}));
  const Instant first = timers.next();
  timers.set(entry, at(seconds{5}));
  EXPECT_EQ(timers.next(), first) << "moving later is only a store";
  EXPECT_TRUE(expired(timers, first).empty());
  EXPECT_GE(timers.next(), at(seconds{5}));
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entry});
}

TEST(Timers, AnEarlierDeadlineMovesImmediately) {
  Timers timers;
  TimerEntry entry;
  timers.set(entry, at(seconds{15}));
  timers.set(entry, at(seconds{2}));
  EXPECT_LE(timers.next(), at(seconds{2}) + Timers::kTick);
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entry});
}

TEST(Timers, ADeadlineOfNeverRemovesTheEntry) {
  Timers timers;
  TimerEntry entry;
  timers.set(entry, at(seconds{1}));
  timers.set(entry, kNever);
  EXPECT_TRUE(expired(timers, at(seconds{2})).empty());
  EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, ADeadlineBeyondTheWheelWakesOnce) {
  Timers timers;
  TimerEntry entry;
  const Instant deadline = at(std::chrono::hours{2});
  timers.set(entry, deadline);
  EXPECT_GE(timers.next(), deadline);
  EXPECT_LE(timers.next(), deadline + Timers::kTick);
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entry});
  EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, DeadlinesBeyondTheWheelFireInOrderWithNearOnes) {
  Timers timers;
  std::array<TimerEntry, 4> entries;
  const std::array deadlines{seconds{40}, seconds{5}, seconds{3600}, seconds{40}};
  for (std::size_t i = 0; i < entries.size(); ++i) timers.set(entries[i], at(deadlines[i]));
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entries[1]});
  EXPECT_GE(timers.next(), at(seconds{40}));
  EXPECT_EQ(expired(timers, timers.next()).size(), 2U);
  timers.set(entries[1], at(seconds{50}));
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entries[1]});
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entries[2]});
  EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, ADeadlineBeyondTheWheelMovesEarlierImmediatelyAndLaterLazily) {
  Timers timers;
  std::array<TimerEntry, 2> entries;
  for (TimerEntry& entry : entries) timers.set(entry, at(seconds{100}));
  timers.set(entries[0], at(seconds{60}));
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entries[0]});
  timers.set(entries[1], at(seconds{7200}));
  EXPECT_TRUE(expired(timers, timers.next()).empty());
  EXPECT_GE(timers.next(), at(seconds{7200}));
  timers.remove(entries[1]);
  EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, DefaultKeepAliveWakesOnce) {
  Timers timers;
  TimerEntry entry;
  timers.set(entry, at(seconds{15}));
  EXPECT_EQ(expired(timers, timers.next()), std::vector{&entry});
}

TEST(Timers, ACallbackMaySetAndRemoveAnyTimer) {
  Timers timers;
  std::array<TimerEntry, 4> entries;
  for (TimerEntry& entry : entries) timers.set(entry, at(milliseconds{10}));
  std::vector<TimerEntry*> due;
  timers.expire(at(milliseconds{20}), [&](TimerEntry& entry) {
    due.push_back(&entry);
    for (TimerEntry& other : entries) {
      if (&other != &entry) timers.remove(other);
    }
    timers.set(entry, at(milliseconds{30}));
  });
  EXPECT_EQ(due.size(), 1U);
  EXPECT_EQ(expired(timers, at(milliseconds{40})), due);
  EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, ACallbackThatSetsAPastDeadlineDoesNotSpin) {
  Timers timers;
  TimerEntry entry;
  timers.set(entry, at(milliseconds{1}));
  int calls = 0;
  timers.expire(at(milliseconds{100}), [&](TimerEntry& e) {
    ++calls;
    timers.set(e, at(milliseconds{1}));
  });
  EXPECT_LE(calls, 50) << "at most once per tick that passed";
  EXPECT_GT(timers.next(), at(milliseconds{100}));
}

RC_GTEST_PROP(PropertyTimers, AgreesWithAModel, ()) {
  Timers timers;
  std::array<TimerEntry, 8> entries;
  std::map<TimerEntry*, Instant> model;  // deadlines
  std::map<TimerEntry*, Instant> asked;  // the time of the turn in which they were set
  Instant now = at(milliseconds{*rc::gen::inRange(0, 100000)});
  timers.expire(now, [](TimerEntry&) { RC_FAIL("nothing is set yet"); });
  const int steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i) {
    TimerEntry& entry = entries[*rc::gen::inRange<std::size_t>(0, entries.size())];
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
      case 1: {
        const auto ns = *rc::gen::oneOf(rc::gen::inRange<std::int64_t>(0, 50'000'000),
                                        rc::gen::inRange<std::int64_t>(0, 60'000'000'000));
        timers.set(entry, now + Duration{ns});
        model[&entry] = now + Duration{ns};
        asked[&entry] = now;
        break;
      }
      case 2:
        timers.remove(entry);
        model.erase(&entry);
        break;
      default: {
        const bool follow = *rc::gen::arbitrary<bool>() && timers.next() != kNever;
        now = follow ? std::max(now, timers.next())
                     : now + Duration{*rc::gen::inRange<std::int64_t>(0, 20'000'000'000)};
        timers.expire(now, [&](TimerEntry& due) {
          RC_ASSERT(model.count(&due) == 1U);
          RC_ASSERT(model[&due] <= now);
          model.erase(&due);
        });
        for (const auto& [waiting, deadline] : model) {
          RC_ASSERT(now < std::max(deadline, asked[waiting]) + Timers::kTick);
        }
      }
    }
    for (const auto& [waiting, deadline] : model) {
      RC_ASSERT(timers.next() <= std::max(deadline, asked[waiting]) + Timers::kTick);
    }
  }
  for (TimerEntry& entry : entries) timers.remove(entry);
  RC_ASSERT(timers.next() == kNever);
}

}  // namespace
}  // namespace iotax::driver
