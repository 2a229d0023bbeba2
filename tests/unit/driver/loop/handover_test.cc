#include "driver/loop/handover.h"

#include <gtest/gtest.h>

#include <string>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using support::kGet;
using support::LoopParts;
using support::ScriptedClient;

/// Listens, with a supervisor.
struct SupervisedLoop : LoopParts {
  SupervisedLoop() {
    channel.open(fd);
    if (!acceptor.listen()) std::abort();
  }
  /// The texts of the messages to the supervisor.
  [[nodiscard]] std::size_t sent() { return sys.channel_of(fd).from_worker.size(); }

  int fd = sys.open_channel();
};

TEST(Handover, APausedLoopReadsNothingFromIdleConnections) {
  SupervisedLoop parts;
  auto [client, s] = parts.connect();
  parts.handover.pause(parts.lead);
  client.send(kGet);
  parts.sys.connect(parts.listener);
  EXPECT_EQ(parts.turn(), 0U);
  EXPECT_EQ(client.unread_by_server(), kGet.size());
  EXPECT_EQ(parts.table.size(), 1U);
}

TEST(Handover, AResumedLoopServesWhatArrivedMeanwhile) {
  SupervisedLoop parts;
  auto [client, s] = parts.connect();
  parts.handover.pause(parts.lead);
  client.send(kGet);
  parts.sys.connect(parts.listener);
  parts.handover.resume(parts.lead);
  parts.turn();
  EXPECT_EQ(parts.ready.size(), 1U);
  EXPECT_EQ(parts.table.size(), 2U);
}

TEST(Handover, ARequestInProgressIsServedWhilePaused) {
  SupervisedLoop parts;
  auto [client, s] = parts.connect();
  client.send(kGet.substr(0, 5));
  parts.turn();
  parts.handover.pause(parts.lead);
  client.send(kGet.substr(5));
  parts.turn();
  EXPECT_EQ(parts.ready.size(), 1U);
}

TEST(Handover, TransfersIdleConnectionsWithoutClosingThem) {
  SupervisedLoop parts;
  auto [idle, first] = parts.connect();
  auto [busy, second] = parts.connect();
  busy.send(kGet);
  parts.turn();
  parts.handover.pause(parts.lead);
  parts.handover.transfer_idle(parts.lead);
  EXPECT_EQ(parts.table.size(), 1U);
  EXPECT_FALSE(idle.closed_by_server());
  EXPECT_FALSE(idle.ended());
  ASSERT_EQ(parts.sent(), 2U);  // the connection, and the report that it was the last
  EXPECT_NE(parts.sys.channel_of(parts.fd).from_worker[0].attached, nullptr);
  EXPECT_EQ(parts.sys.channel_of(parts.fd).from_worker[1].attached, nullptr);
}

TEST(Handover, TransfersNothingUnlessPaused) {
  SupervisedLoop parts;
  auto [client, s] = parts.connect();
  parts.handover.transfer_idle(parts.lead);
  EXPECT_EQ(parts.sent(), 0U);
  EXPECT_EQ(parts.table.size(), 1U);
}

TEST(Handover, ContinuesWhenTheChannelHasRoomAgain) {
  SupervisedLoop parts;
  for (int n = 0; n < 3; ++n) parts.connect();
  parts.handover.pause(parts.lead);
  parts.sys.channel_of(parts.fd).room = 2;
  parts.handover.transfer_idle(parts.lead);
  EXPECT_EQ(parts.table.size(), 1U);
  EXPECT_EQ(parts.handover.due(), parts.base.clock.now() + 1ms);
  parts.sys.channel_of(parts.fd).room = 100;
  parts.pass(1ms);
  parts.handover.transfer_idle(parts.lead);
  EXPECT_TRUE(parts.table.empty());
  EXPECT_EQ(parts.sent(), 4U);
  EXPECT_EQ(parts.handover.due(), core::kNever);
}

TEST(Handover, AnAdoptedConnectionIsServed) {
  SupervisedLoop parts;
  ScriptedClient client = parts.sys.connect(parts.listener);
  const driver::Result<driver::Accepted> accepted = parts.sys.accept(parts.listener);
  ASSERT_TRUE(accepted);
  client.send(kGet);
  parts.acceptor.adopt(parts.lead, accepted->fd);
  parts.turn();
  ASSERT_EQ(parts.ready.size(), 1U);
  EXPECT_EQ(parts.ready.pop()->link.endpoints.remote_addr, "127.0.0.1");
}

TEST(Handover, AStoppingLoopIsNotPaused) {
  SupervisedLoop parts;
  parts.base.mode.stopping = driver::Stopping::draining;
  parts.handover.pause(parts.lead);
  EXPECT_FALSE(parts.base.mode.paused);
}

}  // namespace
}  // namespace iotax
