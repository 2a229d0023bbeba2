// The text of the metrics in both forms, and which form a request gets.
#include "admin/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "example.h"

namespace iotax {
namespace {

using admin::form_for;
using admin::MetricsForm;
using driver::CounterIndex;
using driver::WorkerState;

std::string metrics(const Board& board, MetricsForm form = MetricsForm::open_metrics) {
  static const std::array<std::string, 2> listeners{"http://127.0.0.1:8000", "unix:/run/app"};
  return admin::metrics_of(board.snapshot(), {"1.2.3", "3.13.1"}, listeners, true, false, form);
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, SumTheThreadsOfAllWorkers) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.worker(2, WorkerState::ready);
  const std::size_t posts =
      CounterIndex::request(0, driver::counted_method("POST"), driver::counted_status(404));
  board.counters(0, 0).add(posts, 3);
  board.counters(0, board.scoreboard().calls()).add(posts, 4);
  board.counters(2, 1).add(posts, 5);
  EXPECT_TRUE(
      has_line(metrics(board), R"(iotax_requests_total{by="app",method="POST",status="4xx"} 12)"));
}

TEST(Metrics, CountsOfAWorkerThatHasExitedStay) {
  const Board board;
  board.worker(1, WorkerState::ready);
  board.counters(1, 0).add(CounterIndex::kEnded, 3);
  board.gauges(1).accepted.add(2);
  board.worker(1, WorkerState::none);
  EXPECT_TRUE(has_line(metrics(board), R"(iotax_requests_ended_total{end="complete"} 3)"));
  board.scoreboard().clear(1);
  board.worker(1, WorkerState::ready);
  board.counters(1, 0).add(CounterIndex::kEnded, 4);
  const std::string text = metrics(board);
  EXPECT_TRUE(has_line(text, R"(iotax_requests_ended_total{end="complete"} 7)"));
  EXPECT_TRUE(has_line(text, "iotax_connections_accepted_total 2"));
  EXPECT_EQ(board.snapshot().workers[0].requests, 4U);
}

TEST(Metrics, AHistogramIsCumulative) {
  const Board board;
  board.worker(0, WorkerState::ready);
  driver::ThreadCounters& counters = board.counters(0, 0);
  counters.observe(driver::Timed::queue, 500us);
  counters.observe(driver::Timed::queue, 1s);
  counters.observe(driver::Timed::queue, 90s);
  const std::string text = metrics(board);
  EXPECT_TRUE(has_line(text, R"(iotax_queue_duration_seconds_bucket{le="0.0005"} 1)"));
  EXPECT_TRUE(has_line(text, R"(iotax_queue_duration_seconds_bucket{le="0.5"} 1)"));
  EXPECT_TRUE(has_line(text, R"(iotax_queue_duration_seconds_bucket{le="1.0"} 2)"));
  EXPECT_TRUE(has_line(text, R"(iotax_queue_duration_seconds_bucket{le="60.0"} 2)"));
  EXPECT_TRUE(has_line(text, R"(iotax_queue_duration_seconds_bucket{le="+Inf"} 3)"));
  EXPECT_TRUE(has_line(text, "iotax_queue_duration_seconds_sum 91.0005"));
  EXPECT_TRUE(has_line(text, "iotax_queue_duration_seconds_count 3"));
}

TEST(Metrics, TheLimitsAreThoseOfTheCounters) {
  const Board board;
  const std::string text = metrics(board);
  std::size_t at = 0;
  for (const core::Duration limit : driver::kBuckets) {
    at = text.find("iotax_queue_duration_seconds_bucket{le=\"", at) + 40;
    EXPECT_DOUBLE_EQ(std::stod(text.substr(at)), std::chrono::duration<double>(limit).count());
  }
}

TEST(Metrics, ThreadsAreThoseOfReadyWorkers) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.worker(1, WorkerState::draining);
  board.runs(0, 0, "GET /a");
  board.runs(1, 0, "GET /b");
  const std::string text = metrics(board);
  EXPECT_TRUE(has_line(text, R"(iotax_threads{state="busy"} 1)"));
  EXPECT_TRUE(has_line(text, R"(iotax_threads{state="idle"} 1)"));
  EXPECT_TRUE(has_line(text, "iotax_requests_running 2"));
  EXPECT_TRUE(has_line(text, R"(iotax_workers{state="draining"} 1)"));
}

TEST(Metrics, ALostThreadIsNotBusy) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.runs(0, 0, "GET /a");
  board.gauges(0).threads_lost.set(1);
  const std::string text = metrics(board);
  EXPECT_TRUE(has_line(text, R"(iotax_threads{state="busy"} 0)"));
  EXPECT_TRUE(has_line(text, R"(iotax_threads{state="lost"} 1)"));
}

TEST(Metrics, AConnectionIsBusyFromItsHeadToTheEndOfItsRequest) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.gauges(0).connections.set(5);
  board.gauges(0).begun.set(7);
  board.counters(0, 1).add(CounterIndex::kEnded, 3);
  board.counters(0, board.scoreboard().calls()).add(CounterIndex::kHealthRequests, 1);
  const std::string text = metrics(board);
  EXPECT_TRUE(has_line(text, R"(iotax_connections{state="idle"} 2)"));
  EXPECT_TRUE(has_line(text, R"(iotax_connections{state="busy"} 3)"));
}

TEST(Metrics, RequestsOfAKilledWorkerAreNotInProgressInTheNextOne) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.gauges(0).begun.set(3);
  board.counters(0, 0).add(CounterIndex::kEnded, 1);
  board.scoreboard().clear(0);
  board.worker(0, WorkerState::ready);
  board.gauges(0).connections.set(9);
  board.gauges(0).begun.add(4);
  EXPECT_TRUE(has_line(metrics(board), R"(iotax_connections{state="busy"} 4)"));
}

TEST(Metrics, TheBacklogHasTheAddressOfItsTcpListener) {
  const Board board;
  EXPECT_EQ(metrics(board).find("iotax_backlog_connections{"), std::string::npos);
  board.server().backlogs[0].set(3);
  const std::string text = metrics(board);
  EXPECT_TRUE(has_line(text, R"(iotax_backlog_connections{listener="http://127.0.0.1:8000"} 3)"));
  EXPECT_EQ(text.find("unix:"), std::string::npos);
}

TEST(Metrics, LogLinesOfTheSupervisorAndAllWorkersAreSummed) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.server().logs.lines[2].set(1);
  board.gauges(0).logs.add({.lines = {0, 0, 5, 0, 0}, .dropped = {7, 0}},
                           {.lines = {0, 0, 2, 0, 0}, .dropped = {}});
  board.worker(0, WorkerState::none);
  board.scoreboard().clear(0);
  const std::string text = metrics(board);
  EXPECT_TRUE(has_line(text, R"(iotax_log_lines_total{severity="warning"} 4)"));
  EXPECT_TRUE(has_line(text, R"(iotax_log_lines_dropped_total{log="access"} 7)"));
  EXPECT_TRUE(has_line(text, R"(iotax_log_lines_dropped_total{log="server"} 0)"));
}

TEST(Metrics, TimesOfThreadsAreInSeconds) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.gauges(0).busy_nanoseconds.set(2'500'000'000);
  board.gauges(0).lock_wait_nanoseconds.set(250'000'000);
  const std::string text = metrics(board);
  EXPECT_TRUE(has_line(text, "iotax_thread_busy_seconds_total 2.5"));
  EXPECT_TRUE(has_line(text, "iotax_gil_wait_seconds_total 0.25"));
}

TEST(Metrics, TheFormsDifferInTheirMetadata) {
  const Board board;
  const std::string open = metrics(board);
  EXPECT_TRUE(has_line(open, "# TYPE iotax_build info"));
  EXPECT_TRUE(has_line(open, R"(iotax_build_info{version="1.2.3",python="3.13.1"} 1)"));
  EXPECT_TRUE(has_line(open, "# TYPE iotax_received_bytes counter"));
  EXPECT_TRUE(has_line(open, "# UNIT iotax_received_bytes bytes"));
  EXPECT_TRUE(open.ends_with("\n# EOF\n"));
  const std::string text = metrics(board, MetricsForm::text);
  EXPECT_TRUE(has_line(text, "# TYPE iotax_build_info gauge"));
  EXPECT_TRUE(has_line(text, "# TYPE iotax_received_bytes_total counter"));
  EXPECT_EQ(text.find("# UNIT"), std::string::npos);
  EXPECT_EQ(text.find("# EOF"), std::string::npos);
}

TEST(Metrics, AreAtMost400Series) {
  const Board board;
  for (unsigned slot = 0; slot < Board::kSlots; ++slot) board.worker(slot, WorkerState::ready);
  const std::string text = metrics(board, MetricsForm::text);
  std::multiset<std::string> series;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    if (line[0] != '#') series.insert(line.substr(0, line.rfind(' ')));
    at = end + 1;
  }
  EXPECT_LE(series.size(), 400U);
  for (const std::string& one : series) EXPECT_EQ(series.count(one), 1U) << one;
}

TEST(Metrics, OpenMetricsIsTheFormUnlessAcceptExcludesIt) {
  for (const std::string_view accept :
       {"", " ", "*/*", "application/openmetrics-text", "application/*",
        "Application/OpenMetrics-Text",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
        "text/plain;q=0.5, */*;q=0.1", "*/*;q=0, application/openmetrics-text"}) {
    EXPECT_EQ(form_for(accept), MetricsForm::open_metrics) << accept;
  }
  for (const std::string_view accept :
       {"text/plain", "text/*", "application/json", "*/*;q=0", "*/*;q=0.000",
        "application/openmetrics-text;q=0, */*", "text/plain;version=0.0.4;q=1, ,"}) {
    EXPECT_EQ(form_for(accept), MetricsForm::text) << accept;
  }
}

}  // namespace
}  // namespace iotax
