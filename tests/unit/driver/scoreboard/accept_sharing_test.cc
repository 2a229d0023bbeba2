// Two workers with one scoreboard and one listener: which one accepts a new connection.
#include "driver/scoreboard/accept_sharing.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "support/fake_application.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Config;
using driver::PrivateScoreboard;
using driver::Scoreboard;
using driver::Slot;
using driver::Stop;
using support::FakeApplication;
using support::RecordingLog;
using support::Rig;
using support::ScriptedClient;
using support::ScriptedSys;

/// "/" responds with the number of the worker; "/slow" does so after a second.
class Two {
 public:
  using Worker = Rig<>::Worker;

  explicit Two(std::uint64_t seed) : sys(seed), memory(1, 2), listener(sys.listen()) {
    for (unsigned n = 0; n < 2; ++n) {
      apps[n] = std::make_unique<FakeApplication>(sys);
      FakeApplication& app = *apps[n];
      const std::string name(1, static_cast<char>('A' + n));
      app.views["/"] = [name](driver::Exchange& e) { FakeApplication::answer(e, name); };
      app.views["/slow"] = [name, &app](driver::Exchange& e) {
        app.sleep(1s);
        FakeApplication::answer(e, name);
      };
      workers[n] = std::make_unique<Worker>(sys, config, app, log, driver::LeadTuning{},
                                            Slot{memory.scoreboard(), n});
      if (!workers[n]->open() || !workers[n]->add_listener(listener, "here")) std::abort();
    }
  }
  void run(core::Duration how_long) {
    sys.after(how_long, [this] {
      for (const auto& worker : workers) worker->stop(Stop::prompt);
    });
    ScriptedSys::Thread second =
        std::move(*sys.start_thread("second", [this] { (void)workers[1]->run(); }));
    (void)workers[0]->run();
    second.join();
  }
  ScriptedClient get(std::string_view path) {
    ScriptedClient client = sys.connect(listener);
    client.send(Rig<>::request(path));
    return client;
  }

  ScriptedSys sys;
  Config config;
  PrivateScoreboard memory;
  RecordingLog log;
  int listener;
  std::array<std::unique_ptr<FakeApplication>, 2> apps;
  std::array<std::unique_ptr<Worker>, 2> workers;
};

class SimSharing : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SimSharing, ABusyWorkerLeavesConnectionsToTheOther) {
  Two two(GetParam());
  ScriptedClient slow;
  std::array<ScriptedClient, 20> quick;
  two.sys.after(10ms, [&] { slow = two.get("/slow"); });
  for (std::size_t n = 0; n < quick.size(); ++n) {
    two.sys.after(100ms + n * 20ms, [&, n] { quick[n] = two.get("/"); });
    two.sys.after(110ms + n * 20ms, [&, n] {
      EXPECT_NE(quick[n].received().find("200 OK"), std::string::npos) << n;
    });
  }
  two.run(2s);
  const char busy = slow.received().back();
  for (const ScriptedClient& client : quick) EXPECT_NE(client.received().back(), busy);
}

TEST_P(SimSharing, BusyWorkersStillAcceptAndRead) {
  Two two(GetParam());
  std::array<ScriptedClient, 3> slow;
  two.sys.after(10ms, [&] { slow[0] = two.get("/slow"); });
  two.sys.after(50ms, [&] { slow[1] = two.get("/slow"); });
  two.sys.after(100ms, [&] { slow[2] = two.get("/slow"); });
  two.sys.after(110ms, [&] {
    EXPECT_EQ(slow[1].unread_by_server(), 0U);
    EXPECT_EQ(slow[2].unread_by_server(), 0U);
  });
  two.run(4s);
  EXPECT_NE(slow[0].received().back(), slow[1].received().back());
  EXPECT_NE(slow[2].received().find("200 OK"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimSharing, testing::Range<std::uint64_t>(1, 31));

TEST(Sharing, AConnectionIsLeftToAnotherWorkerOnlyBriefly) {
  // The other slot claims an idle thread, but has no worker.
  Two two(1);
  two.memory.scoreboard().worker(1).serve(1);
  ScriptedClient slow;
  ScriptedClient other;
  std::uint64_t before = 0;
  const auto calls = [&] { return two.sys.calls("epoll_wait") + two.sys.calls("poll"); };
  two.sys.after(10ms, [&] { slow = two.get("/slow"); });
  two.sys.after(100ms, [&] {
    before = calls();
    other = two.get("/");
  });
  two.sys.after(110ms, [&] { EXPECT_NE(other.unread_by_server(), 0U) << "left to the other"; });
  two.sys.after(130ms, [&] {
    EXPECT_EQ(other.unread_by_server(), 0U) << "the other does not come";
    EXPECT_LT(calls() - before, 80U) << "a few looks per pause";
    two.workers[0]->stop(Stop::prompt);
  });
  (void)two.workers[0]->run();
}

TEST(Sharing, AStoppingWorkerDoesNotCountAsFree) {
  Two two(1);
  EXPECT_FALSE(two.memory.scoreboard().another_is_free(0));
  two.sys.after(10ms, [&] { EXPECT_TRUE(two.memory.scoreboard().another_is_free(0)); });
  two.sys.after(20ms, [&] { two.workers[1]->stop(Stop::prompt); });
  two.sys.after(30ms, [&] { EXPECT_FALSE(two.memory.scoreboard().another_is_free(0)); });
  two.run(1s);
}

}  // namespace
}  // namespace iotax
