// How the worker handles orders of the supervisor, on the scripted system.
#include "driver/loop/channel.h"

#include <gtest/gtest.h>

#include <string>

#include "support/fake_application.h"
#include "support/words_in.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Config;
using driver::Stop;
using support::has;
using support::Rig;
using support::ScriptedClient;

struct OnePage {
  driver::PrivateScoreboard scoreboard{1};
};

/// A worker with a channel and a scoreboard that the test reads.
struct Supervised : OnePage, Rig<> {
  explicit Supervised(Config settings = {}) : Rig<>(std::move(settings)) {
    worker = std::make_unique<Worker>(sys, config, app, log, driver::LeadTuning{},
                                      driver::Slot{scoreboard.scoreboard(), 0});
    if (!worker->open() || !worker->add_listener(listener, "127.0.0.1:8000")) std::abort();
    const int fd = sys.open_channel();
    file = &sys.channel_of(fd);
    if (!worker->add_channel(fd)) std::abort();
  }
  void order(core::Duration when, std::string_view text) {
    sys.after(when, [this, text] { file->to_worker.push_back({std::string(text), nullptr}); });
  }
  std::string reports() const {
    std::string text;
    for (const auto& message : file->from_worker) text += message.text + ";";
    return text;
  }
  support::scripted::Channel* file;
};

TEST(Channel, ARetiringWorkerServesIdleConnectionsOnceMoreUntilTheirTimeout) {
  Supervised rig;
  ScriptedClient used = rig.get("/");
  ScriptedClient silent = rig.get("/");
  rig.order(1s, "retire");
  rig.sys.after(14s, [&] {
    EXPECT_FALSE(silent.closed_by_server());
    used.take();
    used.send(Rig<>::request("/"));
  });
  rig.sys.after(14100ms, [&] {
    EXPECT_TRUE(has(used.received(), "200 OK"));
    EXPECT_TRUE(has(used.received(), "Connection: close"));
  });
  rig.sys.after(16s, [&] { EXPECT_TRUE(silent.ended()); });
  rig.run();
}

TEST(Channel, ARetiringWorkerLeavesTheListenerOpenForOthers) {
  Supervised rig;
  rig.order(1s, "retire");
  ScriptedClient late;
  rig.sys.after(500ms, [&] { EXPECT_EQ(rig.sys.calls("drop_new_connections"), 0U); });
  rig.run();
  EXPECT_EQ(rig.sys.calls("drop_new_connections"), 0U);
  late = rig.connect();
  EXPECT_FALSE(late.was_reset());
}

TEST(Channel, AStopWhileRetiringGivesIdleConnectionsTwoSeconds) {
  Supervised rig;
  ScriptedClient idle = rig.get("/");
  rig.order(1s, "retire");
  rig.order(3s, "drain");
  rig.sys.after(4900ms, [&] { EXPECT_FALSE(idle.closed_by_server()); });
  rig.run();
  EXPECT_TRUE(idle.closed_by_server());
}

TEST(Channel, AWorkerWithoutASupervisorExitsAfterItsRequests) {
  Supervised rig;
  rig.slow_view(5s);
  ScriptedClient slow = rig.get("/slow");
  rig.sys.after(1s, [&] { rig.file->ended = true; });
  rig.run();
  EXPECT_TRUE(has(slow.received(), "slow"));
  EXPECT_TRUE(has(slow.received(), "Connection: close"));
}

TEST(Channel, RequestsWaitWhileTheWorkerIsPaused) {
  Supervised rig;
  ScriptedClient kept = rig.get("/");
  ScriptedClient fresh;
  rig.order(1s, "pause");
  rig.sys.after(2s, [&] {
    kept.take();
    kept.send(Rig<>::request("/"));
    fresh = rig.get("/");
  });
  rig.sys.after(20s, [&] {
    EXPECT_EQ(kept.received(), "");
    EXPECT_EQ(fresh.received(), "");
    EXPECT_FALSE(kept.closed_by_server()) << "its keep-alive time does not run while it is held";
  });
  rig.order(21s, "resume");
  rig.sys.after(21100ms, [&] {
    EXPECT_TRUE(has(kept.received(), "200 OK"));
    EXPECT_TRUE(has(fresh.received(), "200 OK"));
  });
  rig.stop_after(22s);
  rig.run();
}

TEST(Channel, ARequestInProgressIsServedWhenThePauseBegins) {
  Supervised rig;
  rig.slow_view(2s);
  ScriptedClient client = rig.get("/slow");
  rig.order(1s, "pause");
  rig.sys.after(3s, [&] {
    EXPECT_TRUE(has(client.received(), "slow"));
    EXPECT_FALSE(has(client.received(), "Connection: close"));
    client.take();
    client.send(Rig<>::request("/"));
  });
  rig.sys.after(4s, [&] { EXPECT_EQ(client.received(), ""); });
  rig.order(5s, "resume");
  rig.sys.after(6s, [&] { EXPECT_TRUE(has(client.received(), "200 OK")); });
  rig.stop_after(7s);
  rig.run();
}

TEST(Channel, ConnectionsOfAPausedWorkerAreTransferredAndServedByTheAdopter) {
  Supervised old;
  ScriptedClient kept = old.get("/");
  ScriptedClient silent = old.connect();
  old.order(1s, "pause");
  old.sys.after(2s, [&] {
    kept.take();
    kept.send(Rig<>::request("/"));
  });
  old.order(3s, "transfer");
  old.order(4s, "retire");
  old.run();
  EXPECT_EQ(old.reports(), "transferred;transferred;transfer_done;");
  EXPECT_FALSE(kept.closed_by_server());
  EXPECT_EQ(kept.unread_by_server(), Rig<>::request("/").size());

  // The other worker uses the same scripted system, and the script acts as the supervisor.
  support::RecordingLog log;
  Rig<>::Worker fresh(old.sys, old.config, old.app, log);
  const int fd = old.sys.open_channel();
  ASSERT_TRUE(fresh.open() && fresh.add_channel(fd));
  for (auto& message : old.file->from_worker) {
    if (message.text == "transferred") {
      old.sys.channel_of(fd).to_worker.push_back({"adopt", message.attached});
    }
  }
  old.sys.after(1s, [&] {
    EXPECT_TRUE(has(kept.received(), "200 OK"));
    silent.send(Rig<>::request("/"));
  });
  old.sys.after(2s, [&] {
    EXPECT_TRUE(has(silent.received(), "200 OK"));
    fresh.stop(Stop::prompt);
  });
  ASSERT_TRUE(fresh.run());
  EXPECT_TRUE(kept.closed_by_server());
}

TEST(Channel, ATransferContinuesAfterTheChannelWasFull) {
  Supervised rig;
  ScriptedClient one = rig.connect();
  ScriptedClient two = rig.connect();
  rig.file->room = 1;
  rig.order(1s, "pause");
  rig.order(2s, "transfer");
  rig.sys.after(3s, [&] {
    EXPECT_EQ(rig.reports(), "transferred;");
    rig.file->room = SIZE_MAX;
  });
  rig.sys.after(4s, [&] { EXPECT_EQ(rig.reports(), "transferred;transferred;transfer_done;"); });
  rig.stop_after(5s);
  rig.run();
}

TEST(Channel, SkipsUnknownOrders) {
  Supervised rig;
  rig.order(1s, "later");
  rig.order(1s, "reopening");
  rig.order(1s, "reopen");
  rig.stop_after(2s);
  rig.run();
  EXPECT_EQ(rig.log.reopened, 1);
}

TEST(Channel, MaxRequestsIsReportedOnce) {
  Config config;
  config.requests_max = 2;
  Supervised rig(config);
  std::vector<ScriptedClient> clients;
  clients.push_back(rig.get("/"));
  rig.sys.after(1s, [&] {
    EXPECT_EQ(rig.reports(), "");
    clients.push_back(rig.get("/"));
  });
  rig.sys.after(2s, [&] {
    EXPECT_EQ(rig.reports(), "max_requests 2;");
    clients.push_back(rig.get("/"));
  });
  rig.stop_after(3s);
  rig.run();
  EXPECT_EQ(rig.reports(), "max_requests 2;");
  EXPECT_TRUE(has(clients[2].received(), "200 OK")) << "it serves on until it is told to retire";
}

TEST(Channel, ABusyWorkerReportsItUnlessTheSupervisorWatches) {
  Config config;
  config.tells_when_busy = true;
  Supervised rig(config);
  std::vector<ScriptedClient> clients;
  for (const auto when : {1s, 2s, 4s}) {
    rig.sys.after(when, [&] { clients.push_back(rig.get("/")); });
  }
  rig.sys.after(3s, [&] {
    EXPECT_EQ(rig.reports(), "busy;");
    rig.scoreboard.scoreboard().worker(0).watch(false);
  });
  rig.stop_after(5s);
  rig.run();
  EXPECT_EQ(rig.reports(), "busy;busy;");
}

TEST(Channel, ReopenReopensTheLogFiles) {
  Supervised rig;
  rig.order(1s, "reopen");
  rig.stop_after(2s);
  rig.run();
  EXPECT_EQ(rig.log.reopened, 1);
}

}  // namespace
}  // namespace iotax
