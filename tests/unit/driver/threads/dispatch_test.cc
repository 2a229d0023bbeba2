#include "driver/threads/dispatch.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Locked;
using support::ScriptedClient;
using support::ThreadParts;

driver::Config with_queue(unsigned threads, std::size_t queued_max = 1024) {
  driver::Config config;
  config.threads = threads;
  config.queued_max = queued_max;
  return config;
}

TEST(Dispatch, DispatchesRequestsInOrderOfArrival) {
  ThreadParts parts(with_queue(2));
  const ScriptedClient one = parts.request("/1");
  const ScriptedClient other = parts.request("/2");
  parts.enqueue();
  EXPECT_EQ(parts.dispatch.queued(), 2U);
  parts.locked([&](const Locked& l) {
    EXPECT_EQ(parts.dispatch.pop(l).link.machine.head().path, "/1");
    EXPECT_EQ(parts.dispatch.pop(l).link.machine.head().path, "/2");
    EXPECT_FALSE(parts.dispatch.has_queued(l));
  });
  EXPECT_EQ(parts.dispatch.queued(), 0U);
}

TEST(Dispatch, AFullQueueRejectsRequests) {
  ThreadParts parts(with_queue(2, 1));
  const ScriptedClient one = parts.request();
  const ScriptedClient other = parts.request();
  parts.enqueue();
  EXPECT_EQ(parts.dispatch.queued(), 1U);
  EXPECT_EQ(one.received(), "");
  EXPECT_EQ(other.received().substr(0, 12), "HTTP/1.1 503");
}

TEST(Dispatch, ARequestForWhichAThreadIsIdleIsNotWaiting) {
  ThreadParts parts(with_queue(3, 1));
  std::vector<ScriptedClient> clients;
  for (int n = 0; n < 3; ++n) clients.push_back(parts.request());
  parts.locked([&](const Locked& l) {
    parts.dispatch.push_idle(1, l);
    parts.dispatch.push_idle(2, l);
  });
  parts.enqueue();
  EXPECT_EQ(parts.dispatch.queued(), 3U);
  // One thread is on its way to the queue.
  parts.locked([&](const Locked& l) { (void)parts.dispatch.wake_one(l); });
  clients.push_back(parts.request());
  parts.enqueue();
  EXPECT_EQ(parts.dispatch.queued(), 3U);
  EXPECT_EQ(clients.back().received().substr(0, 12), "HTTP/1.1 503");
}

TEST(Dispatch, WithoutAThreadEveryRequestIsRejected) {
  ThreadParts parts(with_queue(1));
  const ScriptedClient one = parts.request();
  parts.locked([&](const Locked& l) { (void)parts.threads.lose(0, l); });
  parts.enqueue();
  EXPECT_EQ(one.received().substr(0, 12), "HTTP/1.1 503");
}

TEST(Dispatch, RejectsRequestsThatWaitedLongerThanTheQueueTimeout) {
  driver::Config config = with_queue(2);
  config.queue_timeout = 5s;
  ThreadParts parts(config);
  const ScriptedClient one = parts.request();
  parts.enqueue();
  parts.pass(6s);
  parts.enqueue();
  EXPECT_EQ(one.received().substr(0, 12), "HTTP/1.1 503");
  EXPECT_EQ(parts.dispatch.queued(), 0U);
}

TEST(Dispatch, TheThreadThatSleptLastIsWokenFirst) {
  ThreadParts parts(with_queue(3));
  const ScriptedClient one = parts.request();
  parts.enqueue();
  parts.locked([&](const Locked& l) {
    parts.dispatch.push_idle(1, l);
    parts.dispatch.push_idle(2, l);
    EXPECT_EQ(parts.dispatch.wake_one(l), std::optional(2U));
  });
  EXPECT_EQ(parts.threads[2].wake.load(), driver::kWakeRequest);
}

TEST(Dispatch, AtMostOneWokenThreadWaitsForTheLock) {
  ThreadParts parts(with_queue(3));
  const ScriptedClient one = parts.request();
  const ScriptedClient other = parts.request();
  parts.enqueue();
  parts.locked([&](const Locked& l) {
    parts.dispatch.push_idle(1, l);
    parts.dispatch.push_idle(2, l);
    EXPECT_EQ(parts.dispatch.wake_one(l), std::optional(2U));
    EXPECT_EQ(parts.dispatch.wake_one(l), std::nullopt);
  });
  parts.threads[2].incoming = true;
  parts.locked([&](const Locked& l) { (void)parts.dispatch.pop(l); });
  parts.dispatch.wake_next(parts.threads[2]);
  EXPECT_FALSE(parts.threads[2].incoming);
  EXPECT_EQ(parts.threads[1].wake.load(), driver::kWakeRequest);
}

TEST(Dispatch, WakesNoThreadForAnEmptyQueue) {
  ThreadParts parts(with_queue(3));
  parts.locked([&](const Locked& l) {
    parts.dispatch.push_idle(1, l);
    EXPECT_EQ(parts.dispatch.wake_one(l), std::nullopt);
  });
}

TEST(Dispatch, IsDirectWhileCallsAreSlow) {
  ThreadParts parts(with_queue(2));
  const auto direct = [&] {
    parts.locked([&](const Locked& l) {
      parts.dispatch.begin_direct_if_slow(l);
      parts.dispatch.end_direct_if_quick(l);
    });
    return parts.dispatch.direct();
  };
  EXPECT_FALSE(direct());
  for (int n = 0; n < 20; ++n) {
    const core::Instant called = parts.sys.now();
    parts.sys.advance(2ms);
    parts.dispatch.record_call(called);
  }
  EXPECT_TRUE(direct());
  for (int n = 0; n < 2000; ++n) parts.dispatch.record_quick_call();
  EXPECT_FALSE(direct());
}

TEST(Dispatch, WarnsWhenAllThreadsAreBusyForTwoSecondsAndRequestsWait) {
  ThreadParts parts(with_queue(2));
  const ScriptedClient one = parts.request();
  parts.enqueue();
  const auto look = [&] {
    parts.locked([&](const Locked& l) { parts.dispatch.warn_if_busy(parts.lead, l); });
  };
  look();
  parts.pass(1s);
  look();
  EXPECT_TRUE(parts.log.server_lines.empty());
  parts.pass(1s);
  look();
  ASSERT_EQ(parts.log.server_lines.size(), 1U);
  EXPECT_EQ(parts.log.server_lines[0],
            "0 of 2 threads busy; 1 request waiting; --threads N gives more");
}

TEST(Dispatch, DoesNotWarnWhileAThreadIsIdle) {
  ThreadParts parts(with_queue(2));
  const ScriptedClient one = parts.request();
  parts.enqueue();
  parts.locked([&](const Locked& l) { parts.dispatch.push_idle(1, l); });
  for (int n = 0; n < 5; ++n) {
    parts.locked([&](const Locked& l) { parts.dispatch.warn_if_busy(parts.lead, l); });
    parts.pass(1s);
  }
  EXPECT_TRUE(parts.log.server_lines.empty());
}

}  // namespace
}  // namespace iotax
