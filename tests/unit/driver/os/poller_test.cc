// One contract for every poller, over real pipes and socket pairs.
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

#include "driver/os/poller_epoll.h"
#include "driver/os/poller_poll.h"
#include "driver/os/unique_fd.h"

namespace iotax::driver {
namespace {

struct Pair {
  Pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
  }
  UniqueFd ours, theirs;
};

template <class P>
class Poller : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(poller.open(sys)); }

  std::vector<Event> ready(core::Duration timeout = core::Duration::zero(), std::size_t room = 16) {
    std::vector<Event> events(room);
    const auto got = poller.wait(events, timeout);
    EXPECT_TRUE(got) << got.error();
    events.resize(got ? *got : 0);
    return events;
  }
  void put(const UniqueFd& fd) {
    const std::byte one{1};
    ASSERT_TRUE(sys.write(fd.get(), std::span(&one, 1)));
  }

  Sys sys;
  P poller;
  int token = 0;
};

#if IOTAX_LINUX
using Pollers = testing::Types<EpollPoller<Sys>, PollPoller<Sys>>;
#else
using Pollers = testing::Types<PollPoller<Sys>>;
#endif
TYPED_TEST_SUITE(Poller, Pollers);

TYPED_TEST(Poller, ReadableIsReportedUntilRead) {
  Pair pair;
  ASSERT_TRUE(this->poller.add(pair.ours.get(), &this->token, Interest{true, false}));
  EXPECT_TRUE(this->ready().empty());
  this->put(pair.theirs);
  for (int i = 0; i < 2; ++i) {
    const auto events = this->ready(kForever);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].token, &this->token);
    EXPECT_TRUE(events[0].readable);
    EXPECT_FALSE(events[0].writable);
    EXPECT_FALSE(events[0].hangup);
    EXPECT_FALSE(events[0].broken);
  }
  std::byte byte;
  ASSERT_TRUE(this->sys.recv(pair.ours.get(), std::span(&byte, 1)));
  EXPECT_TRUE(this->ready().empty());
}

TYPED_TEST(Poller, ModifyChangesInterestAndToken) {
  Pair pair;
  int other = 0;
  ASSERT_TRUE(this->poller.add(pair.ours.get(), &this->token, Interest{true, false}));
  ASSERT_TRUE(this->poller.modify(pair.ours.get(), &other, Interest{false, true}));
  this->put(pair.theirs);
  const auto events = this->ready(kForever);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].token, &other);
  EXPECT_TRUE(events[0].writable);
  EXPECT_FALSE(events[0].readable);
  ASSERT_TRUE(this->poller.modify(pair.ours.get(), &other, Interest{}));
  EXPECT_TRUE(this->ready().empty());
}

TYPED_TEST(Poller, FullSocketIsNotWritable) {
  Pair pair;
  const std::vector<std::byte> block(65536);
  while (this->sys.send(pair.ours.get(), block)) {
  }
  ASSERT_TRUE(this->poller.add(pair.ours.get(), &this->token, Interest{false, true}));
  EXPECT_TRUE(this->ready().empty());
  std::vector<std::byte> sink(65536);
  while (this->sys.recv(pair.theirs.get(), sink)) {
  }
  EXPECT_EQ(this->ready(kForever).size(), 1U);
}

TYPED_TEST(Poller, HalfCloseIsReportedToReadersOnly) {
  Pair pair;
  ASSERT_TRUE(this->poller.add(pair.ours.get(), &this->token, Interest{true, false}));
  ASSERT_TRUE(this->sys.shutdown(pair.theirs.get(), SHUT_WR));
  const auto events = this->ready(kForever);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(events[0].readable) << "recv() would say 0";
#ifdef POLLRDHUP
  EXPECT_TRUE(events[0].hangup);
#endif
  EXPECT_FALSE(events[0].broken);
  ASSERT_TRUE(this->poller.modify(pair.ours.get(), &this->token, Interest{}));
  EXPECT_TRUE(this->ready().empty());
}

TYPED_TEST(Poller, ABrokenSocketIsReportedUntilItIsRemoved) {
  Pair pair;
  ASSERT_TRUE(this->poller.add(pair.ours.get(), &this->token, Interest{}));
  pair.theirs.reset();
  const auto events = this->ready(kForever);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_TRUE(events[0].broken);
  EXPECT_FALSE(events[0].readable);
  this->poller.remove(pair.ours.get());
  EXPECT_TRUE(this->ready().empty());
  this->poller.remove(pair.ours.get());
}

TYPED_TEST(Poller, AddingTwiceAndModifyingAnUnknownDescriptorFail) {
  Pair pair;
  ASSERT_TRUE(this->poller.add(pair.ours.get(), &this->token, Interest{true, false}));
  EXPECT_EQ(this->poller.add(pair.ours.get(), &this->token, Interest{true, false}).error(), EEXIST);
  EXPECT_EQ(this->poller.modify(pair.theirs.get(), &this->token, Interest{}).error(), ENOENT);
}

TYPED_TEST(Poller, ASmallSpanStarvesNoDescriptor) {
  std::array<Pair, 5> pairs;
  for (Pair& pair : pairs) {
    ASSERT_TRUE(this->poller.add(pair.ours.get(), &pair, Interest{true, false}));
    this->put(pair.theirs);
  }
  std::set<void*> seen;
  for (int i = 0; i < 3; ++i) {
    const auto events = this->ready(kForever, 2);
    EXPECT_EQ(events.size(), 2U);
    for (const Event& event : events) seen.insert(event.token);
  }
  EXPECT_EQ(seen.size(), pairs.size());
}

TYPED_TEST(Poller, RemovingADescriptorKeepsTheOthers) {
  std::array<Pair, 3> pairs;
  for (Pair& pair : pairs) {
    ASSERT_TRUE(this->poller.add(pair.ours.get(), &pair, Interest{true, false}));
    this->put(pair.theirs);
  }
  this->poller.remove(pairs[0].ours.get());
  std::set<void*> seen;
  for (const Event& event : this->ready(kForever)) seen.insert(event.token);
  EXPECT_EQ(seen, (std::set<void*>{&pairs[1], &pairs[2]}));
  ASSERT_TRUE(this->poller.add(pairs[0].ours.get(), &pairs[0], Interest{true, false}));
  EXPECT_EQ(this->ready(kForever).size(), 3U);
}

TYPED_TEST(Poller, WaitEndsAtAShortTimeout) {
  EXPECT_TRUE(this->ready(std::chrono::microseconds{50}).empty());
}

TYPED_TEST(Poller, ParkReturnsOnReadinessAndConsumesNothing) {
  Pair pair;
  const auto kick = this->sys.pipe();
  ASSERT_TRUE(kick);
  const UniqueFd kick_read(kick->read), kick_write(kick->write);
  ASSERT_TRUE(this->poller.add(pair.ours.get(), &this->token, Interest{true, false}));
  auto view = this->poller.park_view();
  this->put(pair.theirs);
  for (int i = 0; i < 2; ++i) {
    const auto parked = this->poller.park(view, kick_read.get(), kForever);
    ASSERT_TRUE(parked);
    EXPECT_TRUE(parked->ready);
    EXPECT_FALSE(parked->kicked);
  }
  EXPECT_EQ(this->ready().size(), 1U);
}

TYPED_TEST(Poller, ParkReturnsOnAKick) {
  Pair pair;
  const auto kick = this->sys.pipe();
  ASSERT_TRUE(kick);
  const UniqueFd kick_read(kick->read), kick_write(kick->write);
  ASSERT_TRUE(this->poller.add(pair.ours.get(), &this->token, Interest{true, false}));
  auto view = this->poller.park_view();
  const auto quiet = this->poller.park(view, kick_read.get(), core::Duration::zero());
  ASSERT_TRUE(quiet);
  EXPECT_FALSE(quiet->ready || quiet->kicked);
  this->put(kick_write);
  const auto parked = this->poller.park(view, kick_read.get(), kForever);
  ASSERT_TRUE(parked);
  EXPECT_TRUE(parked->kicked);
  EXPECT_FALSE(parked->ready);
}

}  // namespace
}  // namespace iotax::driver
