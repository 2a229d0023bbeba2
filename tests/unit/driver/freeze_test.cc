// A process that was stopped while requests arrived and deadlines passed.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "driver/os/running_time.h"
#include "support/fake_application.h"
#include "support/watched_rig.h"
#include "support/words_in.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Config;
using driver::RunningTime;
using support::count;
using support::FakeApplication;
using support::has;
using support::Rig;
using support::ScriptedClient;
using support::WatchedRig;

constexpr std::string_view kTenBytePost =
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";

std::size_t bytes_of_body(driver::Exchange& e) {
  std::array<std::byte, 100> block;
  std::size_t bytes = 0;
  driver::BodyRead got;
  do {
    got = e.read_body(block);
    bytes += got.bytes;
  } while (got.bytes != 0);
  return bytes;
}

TEST(RunningTime, LeavesOutTheTimeByWhichAWaitWasLate) {
  RunningTime time;
  const core::Instant start{1000s};
  EXPECT_FALSE(time.notice(start, start + RunningTime::kSlack));
  EXPECT_FALSE(time.notice(core::kNever, start));
  EXPECT_EQ(time.at(start), start);
  EXPECT_TRUE(time.notice(start, start + 10s));
  EXPECT_EQ(time.at(start + 10s), start);
  EXPECT_FALSE(time.notice(start, start + 10s)) << "noticed already";
  EXPECT_TRUE(time.notice(start + 1s, start + 15s));
  EXPECT_EQ(time.left_out(), 14s);
}

TEST(RunningTime, IsNoticedUntilTheLeaderIsLate) {
  RunningTime time;
  const core::Instant start{1000s};
  EXPECT_EQ(time.noticed(start), start) << "no reading is planned";
  time.plan(start + 1s);
  EXPECT_EQ(time.noticed(start), start);
  EXPECT_EQ(time.noticed(start + 1s + RunningTime::kSlack), start + 1s + RunningTime::kSlack);
  EXPECT_EQ(time.noticed(start + 10s), start + 1s);
  EXPECT_TRUE(time.notice(time.planned(), start + 10s));
  EXPECT_EQ(time.noticed(start + 10s), start + 1s);
  EXPECT_EQ(time.noticed(start + 10s + 1ms), start + 1s + 1ms);
}

TEST(Freeze, ARequestThatArrivedInTimeOnAnIdleConnectionIsServed) {
  Config config;
  config.limits.keep_alive = 1s;
  Rig rig(config);
  ScriptedClient client = rig.get("/");
  rig.sys.after(100ms, [&] { rig.sys.freeze(1400ms); });
  rig.sys.after(200ms, [&] { client.send(Rig<>::request("/")); });
  rig.sys.after(1510ms, [&] { EXPECT_EQ(count(client.received(), "hello"), 2U); });
  rig.sys.after(4s, [&] { EXPECT_TRUE(client.ended()) << "idle again"; });
  rig.stop_after(5s);
  rig.run();
}

TEST(Freeze, ManyRequestsThatArrivedInTimeAreServed) {
  Config config;
  config.limits.keep_alive = 1s;
  Rig rig(config);
  std::vector<ScriptedClient> clients(700);
  for (ScriptedClient& client : clients) client = rig.get("/");
  rig.sys.after(900ms, [&] { rig.sys.freeze(200ms); });
  rig.sys.after(950ms, [&] {
    for (ScriptedClient& client : clients) client.send(Rig<>::request("/"));
  });
  rig.sys.after(1500ms, [&] {
    EXPECT_TRUE(std::all_of(clients.begin(), clients.end(), [](const ScriptedClient& client) {
      return count(client.received(), "hello") == 2;
    }));
  });
  rig.stop_after(2s);
  rig.run();
}

TEST(Freeze, ABodyThatArrivedInTimeDoesNotTimeOut) {
  Config config;
  config.limits.receive_timeout = 1s;
  for (const bool buffered : {true, false}) {
    config.request_buffering = buffered;
    Rig rig(config);
    rig.app.views["/"] = [](driver::Exchange& e) {
      FakeApplication::answer(e, std::to_string(bytes_of_body(e)));
    };
    ScriptedClient client = rig.connect();
    client.send(std::string(kTenBytePost) + "12345");
    rig.sys.after(200ms, [&] { rig.sys.freeze(1400ms); });
    rig.sys.after(300ms, [&] { client.send("67890"); });
    rig.stop_after(3s);
    rig.run();
    EXPECT_TRUE(has(client.received(), "\r\n\r\n10")) << client.received();
  }
}

TEST(Freeze, ABodyThatArrivedInTimeDoesNotTimeOutWhereverTheFreezeIs) {
  constexpr std::uint64_t kSeeds = 1000;
  Config config;
  config.threads = 1;
  config.limits.receive_timeout = 2s;
  config.request_buffering = false;
  config.body_memory_bytes = 0;  // a thread can be frozen while it writes the body to a file
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Rig rig(config, seed);
    rig.app.views["/"] = [](driver::Exchange& e) {
      FakeApplication::answer(e, std::to_string(bytes_of_body(e)));
    };
    ScriptedClient client = rig.connect();
    client.send(std::string(kTenBytePost) + "123");
    rig.sys.after(1ms, [&] { rig.sys.scheduler().set_freezes(1, 1 + seed % 16, 8s); });
    rig.sys.after(1ms, [&] { client.send("456"); });
    rig.sys.after(2ms, [&] { client.send("7890"); });
    rig.stop_after(20s);
    rig.run();
    EXPECT_TRUE(has(client.received(), "\r\n\r\n10")) << "seed " << seed << client.received();
  }
}

/// The clients were frozen as well, or their network was.
TEST(Freeze, DoesNotCountTowardsTheReceiveTimeout) {
  for (const core::Duration freeze : {700ms, 5000ms}) {  // which also ends before the timeout
    Config config;
    config.limits.receive_timeout = 1s;
    Rig rig(config);
    ScriptedClient client = rig.connect();
    ScriptedClient late = rig.connect();
    client.send("GET / HTTP/1.1\r\n");
    late.send("GET / HTTP/1.1\r\n");
    rig.sys.after(200ms, [&] { rig.sys.freeze(freeze); });
    rig.sys.after(200ms + freeze + 600ms, [&] {
      EXPECT_EQ(late.received(), "");
      client.send("Host: a\r\n\r\n");
    });
    rig.sys.after(200ms + freeze + 700ms, [&] { EXPECT_TRUE(has(client.received(), "hello")); });
    rig.sys.after(200ms + freeze + 1s, [&] { EXPECT_TRUE(has(late.received(), "408")); });
    rig.stop_after(8s);
    rig.run();
  }
}

/// The call computes for a second, which takes longer because of the freeze.
void a_second_of_work(Rig<>& rig) {
  rig.app.views["/slow"] = [&rig](driver::Exchange& e) {
    for (int n = 0; n < 20; ++n) rig.app.sleep(50ms);
    FakeApplication::answer(e, "slow");
  };
}

TEST(Freeze, DoesNotCountTowardsTheRequestTimeout) {
  for (const unsigned threads : {1U, 2U}) {
    for (const core::Duration freeze : {1500ms, 10'000ms}) {
      Config config;
      config.threads = threads;
      config.request_timeout = 2s;
      WatchedRig<> rig(config);
      a_second_of_work(rig);
      rig.app.views["/hangs"] = [&rig](driver::Exchange& e) {
        rig.app.sleep(14s);
        FakeApplication::answer(e, "hangs");
      };
      ScriptedClient client = rig.get("/slow");
      ScriptedClient hanging;
      rig.sys.after(300ms, [&] { rig.sys.freeze(freeze); });
      rig.sys.after(20s, [&] { hanging = rig.get("/hangs"); });
      rig.sys.after(22'300ms, [&] { EXPECT_TRUE(has(hanging.received(), "504")); });
      rig.stop_after(40s);
      rig.run();
      EXPECT_TRUE(has(client.received(), "slow")) << client.received();
      ASSERT_FALSE(rig.events.empty());
      EXPECT_EQ(rig.events[0].line, "GET /hangs");
    }
  }
}

TEST(Freeze, DoesNotCountTowardsTheQueueTimeout) {
  Config config;
  config.queue_timeout = 2s;
  Rig rig(config);
  a_second_of_work(rig);
  ScriptedClient first = rig.get("/slow");
  ScriptedClient second;
  rig.sys.after(100ms, [&] { second = rig.get("/"); });
  rig.sys.after(300ms, [&] { rig.sys.freeze(10s); });
  rig.stop_after(14s);
  rig.run();
  EXPECT_TRUE(has(first.received(), "slow"));
  EXPECT_TRUE(has(second.received(), "hello")) << second.received();
}

TEST(Freeze, DoesNotCountTowardsTheGracefulTimeout) {
  Config config;
  config.graceful_timeout = 2s;
  Rig rig(config);
  a_second_of_work(rig);
  ScriptedClient client = rig.get("/slow");
  rig.stop_after(200ms, driver::Stop::drain);
  rig.sys.after(300ms, [&] { rig.sys.freeze(10s); });
  rig.run();
  EXPECT_TRUE(has(client.received(), "slow"));
  EXPECT_TRUE(rig.app.ended_with.empty());
}

TEST(Freeze, DoesNotCountTowardsTheSendTimeout) {
  Config config;
  config.limits.send_timeout = 2s;
  config.limits.rate_bytes_min = 0;
  Rig rig(config);
  rig.app.views["/"] = [](driver::Exchange& e) {
    FakeApplication::answer(e, std::string(50'000, 'x'));
  };
  ScriptedClient client = rig.connect();
  client.read_by_hand(1000);
  client.send(Rig<>::request("/"));
  rig.sys.after(500ms, [&] { rig.sys.freeze(10s); });
  rig.sys.after(11'500ms, [&] { client.read(100'000); });
  rig.sys.after(11'600ms, [&] {
    client.read_by_hand(SIZE_MAX);
    client.read(100'000);
  });
  for (int n = 0; n < 200; ++n) {
    rig.sys.after(11'700ms + n * 1ms, [&] { client.read(100'000); });
  }
  rig.stop_after(14s);
  rig.run();
  EXPECT_FALSE(client.was_reset());
  EXPECT_TRUE(client.received().ends_with(std::string(50'000, 'x')));
}

// ---- a call that holds the application lock

TEST(StuckLock, RequestsThatCannotStartAreRejectedInTime) {
  for (const unsigned threads : {2U, 3U}) {
    Config config;
    config.threads = threads;
    config.request_timeout = 1s;
    WatchedRig<> rig(config);
    rig.app.views["/match"] = [&rig](driver::Exchange& e) {
      rig.sys.sleep(8s);  // with the lock
      FakeApplication::answer(e, "match");
    };
    ScriptedClient first = rig.get("/match");
    std::vector<ScriptedClient> others(4);
    for (std::size_t n = 0; n < others.size(); ++n) {
      rig.sys.after(100ms + n * 100ms, [&, n] { others[n] = rig.get("/match"); });
      rig.sys.after(1250ms + n * 100ms, [&, n] {
        EXPECT_TRUE(has(others[n].received(), "503 ")) << n << others[n].received();
      });
    }
    ScriptedClient kept;
    rig.sys.after(3s, [&] { kept = rig.get("/"); });
    rig.sys.after(4200ms, [&] { EXPECT_TRUE(has(kept.received(), "503 ")); });
    ScriptedClient later;
    rig.sys.after(9s, [&] { later = rig.get("/"); });
    rig.sys.after(9100ms, [&] { EXPECT_TRUE(has(later.received(), "hello")); });
    rig.stop_after(10s);
    rig.run();
    EXPECT_TRUE(has(first.received(), "504 "));
    EXPECT_EQ(rig.app.calls.size(), 2U) << "none of those that were answered is called later";
  }
}

/// Another thread of the application holds the lock.
TEST(StuckLock, ARequestIsRejectedWhenTheOnlyThreadWaits) {
  Config config;
  config.request_timeout = 1s;
  WatchedRig<> rig(config);
  support::ScriptedSys::Thread background;
  rig.sys.after(10ms, [&] {
    background = std::move(*rig.sys.start_thread("computing", [&] {
      rig.app.enter(98);
      rig.sys.sleep(5s);
      rig.app.leave(98);
    }));
  });
  ScriptedClient client;
  rig.sys.after(100ms, [&] { client = rig.get("/"); });
  rig.sys.after(1250ms, [&] { EXPECT_TRUE(has(client.received(), "503 ")); });
  ScriptedClient later;
  rig.sys.after(6s, [&] { later = rig.get("/"); });
  rig.stop_after(7s);
  rig.run();
  EXPECT_TRUE(has(later.received(), "hello"));
}

TEST(StuckLock, NewConnectionsAreLeftToOtherWorkers) {
  Config config;
  config.threads = 2;
  config.request_timeout = 1s;
  WatchedRig<> rig(config);
  const int channel = rig.sys.open_channel();
  ASSERT_TRUE(rig.worker->add_channel(channel));
  rig.app.views["/match"] = [&rig](driver::Exchange& e) {
    rig.sys.sleep(5s);
    FakeApplication::answer(e, "match");
  };
  ScriptedClient first = rig.get("/match");
  ScriptedClient second;
  ScriptedClient third;
  rig.sys.after(100ms, [&] { second = rig.get("/"); });
  rig.sys.after(2s, [&] { third = rig.get("/"); });
  rig.sys.after(4s, [&] {
    const auto& reports = rig.sys.channel_of(channel).from_worker;
    EXPECT_TRUE(std::any_of(reports.begin(), reports.end(), [](const auto& report) {
      return has(report.text, "threads_lost no call could begin");
    }));
    EXPECT_EQ(third.received(), "");
    EXPECT_GT(third.unread_by_server(), 0U) << "waits for another worker";
  });
  rig.stop_after(7s);
  rig.run();
  EXPECT_TRUE(has(second.received(), "503 "));
  EXPECT_TRUE(has(third.received(), "hello")) << "the lock is free again";
}

TEST(Freeze, IsLoggedWhenItWasLong) {
  Config config;
  config.limits.receive_timeout = 20s;
  Rig rig(config);
  ScriptedClient client = rig.connect();
  client.send("GET / HTTP/1.1\r\n");
  rig.sys.after(500ms, [&] { rig.sys.freeze(10s); });
  rig.sys.after(11s, [&] {
    ASSERT_EQ(rig.log.server_lines.size(), 1U);
    EXPECT_TRUE(has(rig.log.server_lines[0], "did not run for 10 s")) << rig.log.server_lines[0];
    client.close();
  });
  rig.stop_after(12s);
  rig.run();
}

TEST(Freeze, DoesNotCountTowardsTheAgesOnTheScoreboard) {
  driver::PrivateScoreboard scoreboard(1);
  driver::WorkerEntry& entry = scoreboard.scoreboard().worker(0);
  EXPECT_EQ(entry.since(core::Instant{10s}, core::Instant{12s}), 2s);
  entry.leave_out(1500ms);
  EXPECT_EQ(entry.since(core::Instant{10s}, core::Instant{12s}), 500ms);
  EXPECT_EQ(entry.since(core::Instant{11s}, core::Instant{12s}), 0s);
  entry.clear();
  EXPECT_EQ(entry.since(core::Instant{10s}, core::Instant{12s}), 2s);
}

}  // namespace
}  // namespace iotax
