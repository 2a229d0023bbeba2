#include "driver/loop/loop.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "driver/threads/leadership.h"
#include "support/fake_application.h"
#include "support/session_response.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Stop;
using support::kGet;
using support::ScriptedClient;
using E = support::ScriptedEnv;
using Session = driver::Session<E>;

/// A loop with one listener, and a channel to a supervisor. The test leads.
struct OneLoop {
  explicit OneLoop(driver::Config settings = {}) : config(std::move(settings)) {
    const driver::Result<driver::PipeEnds> made = sys.pipe();
    if (!made) std::abort();
    wakeup = *made;
  }
  ~OneLoop() { loop.close(lead); }
  OneLoop(const OneLoop&) = delete;

  driver::Result<void> open() { return loop.open(wakeup.read); }
  driver::Result<void> listen() {
    listener = sys.listen();
    channel = sys.open_channel();
    loop.add_listener(listener, "127.0.0.1:8000", driver::ListenerOwner::server);
    loop.add_channel(channel);
    return loop.listen();
  }
  void begin() {
    if (!open() || !listen()) std::abort();
  }
  /// Poll once, without waiting, and process what was found. Returns the number of events.
  std::size_t turn() {
    std::array<driver::Event, 64> events;
    const driver::Result<std::size_t> n = loop.poll(lead, events, core::Duration::zero());
    loop.process(lead, std::span(events).first(n ? *n : 0));
    return n ? *n : 0;
  }
  /// Wait as the leader does until `time` has passed, with a turn after each wait.
  void pass(core::Duration time) {
    const core::Instant end = sys.now() + time;
    while (sys.now() < end) {
      sys.advance(std::min(loop.patience(), end - sys.now()));
      turn();
    }
  }
  /// A client with a request that is ready.
  ScriptedClient request() {
    ScriptedClient client = sys.connect(listener);
    client.send(kGet);
    turn();
    turn();
    return client;
  }
  void order(std::string_view word) {
    sys.channel_of(channel).to_worker.push_back({std::string(word), nullptr});
    turn();
  }

  support::ScriptedSys sys;
  driver::Config config;
  support::RecordingLog log;
  support::FakeApplication app{sys};
  driver::PrivateScoreboard scoreboard{1};
  driver::Slot slot{scoreboard.scoreboard(), 0};
  driver::Leadership<E> leadership;
  driver::Lead lead = leadership.begin(0);
  driver::PipeEnds wakeup;
  int listener = -1;
  int channel = -1;
  driver::Loop<E> loop{sys, config, app, log, slot};
};

// ---- begin and end

TEST(Loop, ReportsThatThePollerCannotBeOpened) {
  OneLoop one;
  one.sys.fail("epoll_create", 1, EMFILE);
  const driver::Result<void> opened = one.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), EMFILE);
}

TEST(Loop, ReportsThatADescriptorCannotBeWatched) {
  for (const std::uint64_t nth : {1U, 2U}) {  // the channel, the listener
    OneLoop one;
    ASSERT_TRUE(one.open());
    one.sys.fail("epoll_ctl", nth, ENOSPC);
    const driver::Result<void> listening = one.listen();
    ASSERT_FALSE(listening);
    EXPECT_EQ(listening.error(), ENOSPC);
  }
}

TEST(Loop, ClosesEachDescriptorThatItOwns) {
  OneLoop one;
  one.begin();
  const ScriptedClient client = one.request();
  const ScriptedClient idle = one.sys.connect(one.listener);
  one.turn();
  EXPECT_EQ(one.loop.connections(), 2U);
  (void)one.loop.ready().pop();
  one.loop.close(one.lead);
  EXPECT_EQ(one.loop.connections(), 0U);
  EXPECT_FALSE(one.sys.is_open(one.listener));
  EXPECT_FALSE(one.sys.is_open(one.channel));
  EXPECT_TRUE(one.sys.is_open(one.wakeup.read));  // borrowed
  EXPECT_TRUE(idle.closed_by_server());
}

// ---- a turn

TEST(Loop, SendsLinesForStatsdOnceASecondAndWhenTheyFillADatagram) {
  driver::Config config;
  config.statsd = true;
  OneLoop one(std::move(config));
  one.begin();
  EXPECT_EQ(one.loop.patience(), 1s);
  one.pass(3s);
  EXPECT_EQ(one.log.sends, std::vector<bool>(3, true));
  one.sys.advance(300ms);
  one.turn();
  one.log.full = true;
  EXPECT_EQ(one.loop.patience(), 0s);
  one.turn();
  ASSERT_EQ(one.log.sends.size(), 4U);
  EXPECT_FALSE(one.log.sends.back()) << "only full datagrams";
  EXPECT_EQ(one.loop.patience(), 700ms);
}

TEST(Loop, NeverWakesForStatsdIfItIsOff) {
  OneLoop one;
  one.begin();
  one.log.full = true;
  EXPECT_EQ(one.loop.patience(), driver::kForever);
  one.sys.advance(1h);
  one.turn();
  EXPECT_TRUE(one.log.sends.empty());
}

TEST(Loop, MakesARequestReadyAndSendsItsResponse) {
  OneLoop one;
  one.begin();
  const ScriptedClient client = one.request();
  ASSERT_EQ(one.loop.ready().size(), 1U);
  Session& s = *one.loop.ready().pop();
  support::write_response(s, "ok");
  one.loop.requests().completed(one.lead, s);
  EXPECT_EQ(client.received(), "");
  one.loop.flush(one.lead);
  EXPECT_TRUE(client.received().ends_with("\r\n\r\nok"));
}

TEST(Loop, AWakeUpEndsTheWaitAndIsRead) {
  OneLoop one;
  one.begin();
  static constexpr std::array kNumber{std::byte{10}};
  (void)one.sys.write(one.wakeup.write, kNumber);
  EXPECT_EQ(one.turn(), 1U);
  EXPECT_TRUE(one.loop.wakeup().has_signals());
  EXPECT_EQ(one.turn(), 0U);
}

TEST(Loop, RunsTheTimersOfSessions) {
  driver::Config config;
  config.limits.keep_alive = 10s;
  OneLoop one(config);
  one.begin();
  const ScriptedClient client = one.sys.connect(one.listener);
  one.turn();
  one.pass(9s);
  EXPECT_FALSE(client.ended());
  one.pass(2s);
  EXPECT_TRUE(client.ended());
}

TEST(Loop, InputThatArrivedBeforeTheTimeoutIsRead) {
  driver::Config config;
  config.limits.keep_alive = 10s;
  OneLoop one(config);
  one.begin();
  ScriptedClient client = one.sys.connect(one.listener);
  one.turn();
  one.turn();
  client.send(kGet);
  const core::Instant due = one.sys.now() + 11s;
  while (one.sys.now() < due) {
    one.sys.advance(one.loop.clock().wait_until(due, false));
    one.loop.clock().read();
  }
  one.loop.process(one.lead, {});  // the poll was before the input
  EXPECT_EQ(one.loop.ready().size(), 1U);
  EXPECT_FALSE(client.ended());
}

TEST(Loop, APollThatFailsMakesNoEvents) {
  OneLoop one;
  one.begin();
  one.sys.fail("epoll_wait", 1, EBADF);
  std::array<driver::Event, 4> events;
  EXPECT_FALSE(one.loop.poll(one.lead, events, core::Duration::zero()));
}

// ---- how long the leader may wait

TEST(Loop, WaitsForeverIfNothingIsDue) {
  OneLoop one;
  one.begin();
  EXPECT_EQ(one.loop.patience(), driver::kForever);
}

TEST(Loop, WaitsUntilWhatIsDueFirst) {
  OneLoop one;
  one.begin();
  const core::Instant now = one.loop.now();
  one.loop.set_busy_due(now + 50ms);
  EXPECT_EQ(one.loop.patience(), 50ms);
  one.loop.set_deadlines_due(now + 20ms);
  EXPECT_EQ(one.loop.patience(), 20ms);
  one.loop.set_queue_since(now, 10ms);
  EXPECT_EQ(one.loop.patience(), 11ms);
  one.loop.set_queue_since(core::kNever, 10ms);
  one.loop.set_deadlines_due(core::kNever);
  one.loop.set_busy_due(core::kNever);
  EXPECT_EQ(one.loop.patience(), driver::kForever);
}

TEST(Loop, WithoutAQueueTimeoutQueuedRequestsNeedNoTimer) {
  OneLoop one;
  one.begin();
  one.loop.set_queue_since(one.loop.now(), 0s);
  EXPECT_EQ(one.loop.patience(), driver::kForever);
}

// ---- orders of the supervisor

TEST(Loop, TheMostUrgentStopOfATurnCounts) {
  OneLoop one;
  one.begin();
  EXPECT_EQ(one.loop.take_ordered(), Stop::none);
  auto& orders = one.sys.channel_of(one.channel).to_worker;
  for (const char* word : {"retire", "now", "drain"}) orders.push_back({word, nullptr});
  one.turn();
  EXPECT_EQ(one.loop.take_ordered(), Stop::now);
  EXPECT_EQ(one.loop.take_ordered(), Stop::none);
}

TEST(Loop, EachWordForAStopStopsInItsWay) {
  const std::pair<const char*, Stop> words[] = {{"retire", Stop::retire},
                                                {"drain", Stop::drain},
                                                {"interrupt", Stop::prompt},
                                                {"now", Stop::now}};
  for (const auto& [word, how] : words) {
    OneLoop one;
    one.begin();
    one.order(word);
    EXPECT_EQ(one.loop.take_ordered(), how) << word;
  }
}

TEST(Loop, AWorkerWhoseSupervisorHasExitedStops) {
  OneLoop one;
  one.begin();
  one.sys.channel_of(one.channel).ended = true;
  one.turn();
  EXPECT_EQ(one.loop.take_ordered(), Stop::prompt);
  EXPECT_FALSE(one.sys.is_open(one.channel));
  EXPECT_EQ(one.turn(), 0U);
}

TEST(Loop, ReopensTheLogsOnOrder) {
  OneLoop one;
  one.begin();
  one.order("reopen");
  EXPECT_EQ(one.log.reopened, 1);
}

TEST(Loop, WhilePausedClientsWaitInTheBacklog) {
  OneLoop one;
  one.begin();
  one.order("pause");
  const ScriptedClient client = one.request();
  EXPECT_EQ(one.loop.connections(), 0U);
  one.order("resume");
  one.turn();
  one.turn();
  EXPECT_EQ(one.loop.ready().size(), 1U);
}

// ---- stopping

TEST(Loop, AStopClosesTheListenerAndIdleConnections) {
  OneLoop one;
  one.begin();
  const ScriptedClient idle = one.sys.connect(one.listener);
  one.turn();
  EXPECT_FALSE(one.loop.is_stopping());
  one.loop.stop(one.lead, Stop::prompt);
  EXPECT_TRUE(one.loop.is_stopping());
  EXPECT_TRUE(idle.closed_by_server());
  EXPECT_FALSE(one.sys.is_open(one.listener));
  EXPECT_TRUE(one.loop.draining().finished());
}

TEST(Loop, LogsTheRequestsThatAreInProgressWhenTheProcessExits) {
  OneLoop one;
  one.begin();
  const ScriptedClient lent = one.request();
  (void)one.loop.ready().pop();
  const ScriptedClient idle = one.sys.connect(one.listener);
  one.turn();
  one.loop.log_lent(one.lead);
  one.loop.log_lent(one.lead);
  EXPECT_EQ(one.log.access_lines.size(), 1U);
}

}  // namespace
}  // namespace iotax
