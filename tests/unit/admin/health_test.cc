// Live and ready, state by state.
#include "admin/health.h"

#include <gtest/gtest.h>

#include "example.h"

namespace iotax {
namespace {

using admin::why_not_live;
using admin::why_not_ready;
using core::Instant;
using driver::WorkerState;

std::string live(const Board& board, Instant ran_since = {}) {
  return why_not_live(board.snapshot(), ran_since);
}
std::string ready(const Board& board, bool full = false) {
  return why_not_ready(board.snapshot(), full);
}

TEST(Health, AServerIsLiveBeforeItsFirstWorkerIsReady) {
  const Board board;
  EXPECT_EQ(live(board), "");
  EXPECT_EQ(ready(board), "starting");
  board.worker(0, WorkerState::booting);
  EXPECT_EQ(live(board), "");
  EXPECT_EQ(ready(board), "starting");
}

TEST(Health, OneWorkerThatAcceptsMakesItReady) {
  const Board board;
  board.worker(0, WorkerState::draining);
  board.worker(2, WorkerState::ready);
  EXPECT_EQ(ready(board), "");
}

TEST(Health, AWorkerThatWasOrderedToLeaveDoesNotCount) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.gauges(0).leaving.set(1);
  EXPECT_EQ(ready(board), "no worker");
}

TEST(Health, WithoutASupervisorAWorkerLeavesOnlyAtTheEnd) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.server().stamp.set(0);
  EXPECT_EQ(ready(board), "");
  board.gauges(0).leaving.set(1);
  EXPECT_EQ(ready(board), "stopping");
  EXPECT_EQ(live(board), "");
}

TEST(Health, AllWorkersLostIsNotTheStart) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.worker(0, WorkerState::none);
  board.worker(1, WorkerState::booting);
  EXPECT_EQ(ready(board), "no worker");
  EXPECT_EQ(live(board), "");
}

TEST(Health, AStopMakesItNotReadyAtOnce) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.server().stopping.set(1);
  EXPECT_EQ(ready(board), "stopping");
  EXPECT_EQ(live(board), "");
}

TEST(Health, AFullQueueCountsOnlyWhenAsked) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.worker(1, WorkerState::ready);
  board.worker(2, WorkerState::draining);
  board.gauges(0).queued.set(5);
  EXPECT_EQ(ready(board, true), "");
  board.gauges(1).queued.set(4);
  EXPECT_EQ(ready(board, true), "");
  board.gauges(1).queued.set(5);
  EXPECT_EQ(ready(board, true), "full");
  EXPECT_EQ(ready(board), "");
  EXPECT_EQ(live(board), "");
}

TEST(Health, ASupervisorThatDoesNotRunIsNotLive) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.server().stamp.set(Board::since(10s));
  EXPECT_EQ(live(board), "");
  board.server().stamp.set(Board::since(11s));
  EXPECT_EQ(live(board), "the supervisor has not run for 11 s");
}

TEST(Health, WorkersAreNotLiveOnlyIfNoneRuns) {
  const Board board;
  board.worker(0, WorkerState::ready, 30s);
  board.worker(1, WorkerState::ready, 3s);
  EXPECT_EQ(live(board), "");
  board.gauges(1).stamp.set(Board::since(12s));
  EXPECT_EQ(live(board), "no worker has run for 12 s");
}

TEST(Health, OnlyReadyWorkersHaveToRun) {
  const Board board;
  board.worker(0, WorkerState::booting, 30s);
  board.worker(1, WorkerState::draining, 30s);
  EXPECT_EQ(live(board), "");
}

TEST(Health, AWorkerBeforeItsFirstTurnIsNotLate) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.gauges(0).stamp.set(0);
  EXPECT_EQ(live(board), "");
}

TEST(Health, TimeInWhichTheJudgeWasFrozenDoesNotCount) {
  const Board board;
  board.worker(0, WorkerState::ready, 60s);
  board.server().stamp.set(Board::since(60s));
  EXPECT_EQ(live(board, Board::kNow - 10s), "");
  EXPECT_NE(live(board, Board::kNow - 11s), "");
}

}  // namespace
}  // namespace iotax
