// The scripted operating system itself: tests that use it rely on its behaving like the real one.
#include "support/scripted_sys.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "driver/os/poller_epoll.h"
#include "driver/os/poller_poll.h"
#include "support/bytes.h"

namespace iotax::support {
namespace {

using core::Duration;
using driver::kForever;
using std::chrono::milliseconds;
using std::chrono::seconds;

Result<std::string> receive(ScriptedSys& sys, int fd, std::size_t room = 1024) {
  std::string text(room, '\0');
  const auto got = sys.recv(fd, std::as_writable_bytes(std::span(text)));
  if (!got) return Errno{got.error()};
  text.resize(*got);
  return text;
}

struct Accepted {
  explicit Accepted(ScriptedSys& sys) : listener(sys.listen()), client(sys.connect(listener)) {
    const auto accepted = sys.accept(listener);
    EXPECT_TRUE(accepted);
    fd = accepted->fd;
  }
  int listener;
  ScriptedClient client;
  int fd = -1;
};

TEST(ScriptedSys, CarriesBytesInBothDirections) {
  ScriptedSys sys;
  Accepted a(sys);
  EXPECT_EQ(receive(sys, a.fd).error(), EAGAIN);
  a.client.send("hello");
  EXPECT_EQ(*receive(sys, a.fd, 3), "hel");
  EXPECT_EQ(*receive(sys, a.fd), "lo");
  EXPECT_EQ(*sys.send(a.fd, bytes_of("answer")), 6U);
  EXPECT_EQ(a.client.received(), "answer");
  a.client.half_close();
  EXPECT_EQ(*receive(sys, a.fd), "");
  EXPECT_EQ(sys.calls("recv"), 4U);
  EXPECT_EQ(sys.accept(a.listener).error(), EAGAIN);
}

TEST(ScriptedSys, AClientThatReadsOnDemandFillsItsBuffer) {
  ScriptedSys sys;
  Accepted a(sys);
  a.client.read_by_hand(4);
  EXPECT_EQ(*sys.send(a.fd, bytes_of("answer")), 4U);
  EXPECT_EQ(sys.send(a.fd, bytes_of("er")).error(), EAGAIN);
  a.client.read(3);
  EXPECT_EQ(a.client.received(), "ans");
  EXPECT_EQ(*sys.send(a.fd, bytes_of("er")), 2U);
}

TEST(ScriptedSys, AResetIsReportedOnceAfterTheBytesBeforeIt) {
  ScriptedSys sys;
  Accepted a(sys);
  a.client.send("x");
  a.client.reset();
  EXPECT_EQ(*receive(sys, a.fd), "x");
  EXPECT_EQ(receive(sys, a.fd).error(), ECONNRESET);
  EXPECT_EQ(*receive(sys, a.fd), "");
  EXPECT_EQ(sys.send(a.fd, bytes_of("y")).error(), EPIPE);
}

TEST(ScriptedSys, AClosedClientResetsAtTheSecondSend) {
  ScriptedSys sys;
  Accepted a(sys);
  a.client.close();
  EXPECT_EQ(*receive(sys, a.fd), "");
  EXPECT_TRUE(sys.send(a.fd, bytes_of("lost")));
  EXPECT_EQ(sys.send(a.fd, bytes_of("y")).error(), ECONNRESET);
  EXPECT_EQ(sys.send(a.fd, bytes_of("y")).error(), EPIPE);
  EXPECT_EQ(a.client.received(), "");
}

TEST(ScriptedSys, ClosingWithUnreadBytesResets) {
  ScriptedSys sys;
  Accepted polite(sys), rude(sys);
  EXPECT_TRUE(sys.send(polite.fd, bytes_of("bye")));
  sys.close(polite.fd);
  EXPECT_TRUE(polite.client.ended());
  EXPECT_FALSE(polite.client.was_reset());
  rude.client.send("unread");
  sys.close(rude.fd);
  EXPECT_TRUE(rude.client.was_reset());
  EXPECT_EQ(sys.open_descriptors(), 2U) << "the listeners";
}

TEST(ScriptedSys, FailsTheRequestedCall) {
  ScriptedSys sys;
  Accepted a(sys);
  sys.fail("send", 2, EMFILE);
  EXPECT_TRUE(sys.send(a.fd, bytes_of("a")));
  EXPECT_EQ(sys.send(a.fd, bytes_of("b")).error(), EMFILE);
  EXPECT_TRUE(sys.send(a.fd, bytes_of("c")));
  EXPECT_EQ(a.client.received(), "ac");
  sys.fail_nth(2, ENOMEM);
  EXPECT_TRUE(sys.pipe());
  EXPECT_EQ(sys.pipe().error(), ENOMEM);
  EXPECT_TRUE(sys.pipe());
}

TEST(ScriptedSys, DescriptorsRunOutAndBecomeAvailableAgain) {
  ScriptedSys sys;
  const int listener = sys.listen();
  (void)sys.connect(listener);
  sys.set_descriptors_max(1);
  EXPECT_EQ(sys.accept(listener).error(), EMFILE);
  EXPECT_EQ(sys.pipe().error(), EMFILE);
  sys.set_descriptors_max(2);
  EXPECT_TRUE(sys.accept(listener)) << "the connection waited";
}

TEST(ScriptedSys, WaitingAdvancesTimeAndRunsTheScript) {
  ScriptedSys sys;
  Accepted a(sys);
  std::array fds{pollfd{a.fd, POLLIN, 0}};
  const auto start = sys.now();
  EXPECT_EQ(*sys.poll(fds, milliseconds{5}), 0U);
  EXPECT_EQ(sys.now() - start, Duration{milliseconds{5}});
  sys.after(seconds{3}, [&] { a.client.send("late"); });
  EXPECT_EQ(*sys.poll(fds, kForever), 1U);
  EXPECT_EQ(sys.now() - start, Duration{milliseconds{3005}});
  EXPECT_EQ(*receive(sys, a.fd), "late");
  sys.on_stuck([&] {
    a.client.send("fed");
    return true;
  });
  EXPECT_EQ(*sys.poll(fds, kForever), 1U);
  EXPECT_EQ(*receive(sys, a.fd), "fed");
}

TEST(ScriptedSys, DetectsAWaitThatNeverEnds) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(
      {
        ScriptedSys sys(7);
        (void)sys.poll({}, kForever);
      },
      "seed 7: every thread waits for ever");
}

template <class P>
class ScriptedPoller : public testing::Test {};
#if IOTAX_LINUX
using Pollers = testing::Types<driver::EpollPoller<ScriptedSys>, driver::PollPoller<ScriptedSys>>;
#else
using Pollers = testing::Types<driver::PollPoller<ScriptedSys>>;
#endif
TYPED_TEST_SUITE(ScriptedPoller, Pollers);

TYPED_TEST(ScriptedPoller, ReportsTheSameEventsAsTheRealOnes) {
  ScriptedSys sys;
  Accepted a(sys);
  TypeParam poller;
  ASSERT_TRUE(poller.open(sys));
  ASSERT_TRUE(poller.add(a.fd, &a, driver::Interest{true, false}));
  std::array<driver::Event, 4> events;
  EXPECT_EQ(*poller.wait(events, Duration::zero()), 0U);
  a.client.send("x");
  ASSERT_EQ(*poller.wait(events, kForever), 1U);
  EXPECT_EQ(events[0].token, &a);
  EXPECT_TRUE(events[0].readable && !events[0].writable && !events[0].hangup && !events[0].broken);
  auto view = poller.park_view();
  const auto kick = sys.pipe();
  EXPECT_TRUE(poller.park(view, kick->read, kForever)->ready);
  a.client.half_close();
  ASSERT_EQ(*poller.wait(events, kForever), 1U);
  EXPECT_TRUE(events[0].hangup && !events[0].broken);
  a.client.reset();
  ASSERT_TRUE(poller.modify(a.fd, &a, driver::Interest{}));
  ASSERT_EQ(*poller.wait(events, kForever), 1U);
  EXPECT_TRUE(events[0].broken && !events[0].readable);
  poller.remove(a.fd);
  EXPECT_EQ(*poller.wait(events, Duration::zero()), 0U);
  sys.close(a.fd);
  EXPECT_EQ(sys.closed_while_watched(), 0U);
}

TEST(ScriptedSys, FilesKeepBytesUntilTheDiskIsFull) {
  ScriptedSys sys;
  sys.set_disk_room(6);
  const auto fd = sys.open_temporary("/tmp");
  ASSERT_TRUE(fd);
  EXPECT_EQ(*sys.pwrite(*fd, bytes_of("abcd"), 0), 4U);
  EXPECT_EQ(*sys.pwrite(*fd, bytes_of("efgh"), 4), 2U);
  EXPECT_EQ(sys.pwrite(*fd, bytes_of("gh"), 6).error(), ENOSPC);
  std::array<std::byte, 8> into;
  EXPECT_EQ(*sys.pread(*fd, into, 2), 4U);
  EXPECT_EQ(*sys.pread(*fd, into, 6), 0U);
  EXPECT_EQ(sys.file_info(*fd)->bytes, 6U);
}

TEST(ScriptedSys, FutexWakesAcrossThreads) {
  ScriptedSys sys;
  std::atomic<std::uint32_t> word{0};
  std::vector<std::string> order;
  auto thread = sys.start_thread("waiter", [&] {
    while (word.load() == 0) EXPECT_TRUE(sys.futex_wait(word, 0, kForever));
    order.emplace_back("woken");
  });
  ASSERT_TRUE(thread);
  EXPECT_EQ(sys.running_thread(), 0U);
  sys.sleep(seconds{1});  // by then the other thread waits
  order.emplace_back("waking");
  word = 1;
  sys.futex_wake(word, 1);
  thread->join();
  EXPECT_EQ(order, (std::vector<std::string>{"waking", "woken"}));
  EXPECT_FALSE(sys.futex_wait(word, 1, seconds{2}));
  EXPECT_TRUE(sys.futex_wait(word, 0, kForever)) << "it has changed already";
}

TEST(ScriptedSys, TheSameSeedGivesTheSameOrder) {
  const auto run = [](std::uint64_t seed) {
    ScriptedSys sys(seed);
    std::string order;
    std::vector<ScriptedSys::Thread> threads;
    for (const char name : {'a', 'b', 'c'}) {
      auto thread = sys.start_thread("worker", [&order, &sys, name] {
        for (int i = 0; i < 5; ++i) {
          order += name;
          sys.sleep(milliseconds{1});
        }
      });
      threads.push_back(std::move(*thread));
    }
    for (auto& thread : threads) thread.join();
    return order;
  };
  EXPECT_EQ(run(3), run(3));
  bool differs = false;
  for (std::uint64_t seed = 1; seed < 10; ++seed) differs = differs || run(seed) != run(3);
  EXPECT_TRUE(differs);
}

TEST(ScriptedSys, ThreadsCanBeRecordedOnly) {
  ScriptedSys sys;
  sys.record_threads();
  int runs = 0;
  auto thread = sys.start_thread("spare", [&] { ++runs; });
  ASSERT_TRUE(thread);
  thread->join();
  EXPECT_EQ(runs, 0);
  sys.run_recorded(0);
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace iotax::support
