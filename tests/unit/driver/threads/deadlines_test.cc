// Overdue calls: who owns the session at each moment, what the client gets, and what happens to the
// thread.
#include "driver/threads/deadlines.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/fake_application.h"
#include "support/watched_rig.h"
#include "support/words_in.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Config;
using driver::Exchange;
using driver::Sent;
using driver::Stop;
using driver::TimeoutAction;
using driver::WatchEvent;
using driver::WatchKind;
using support::count;
using support::FakeApplication;
using support::has;
using support::Rig;
using support::ScriptedClient;
using support::WatchedRig;

Config limited(unsigned threads = 1) {
  Config config;
  config.threads = threads;
  config.request_timeout = 1s;
  config.timeout_grace = 5s;
  return config;
}

void respond(Exchange& e, std::optional<std::uint64_t> length = std::nullopt) {
  core::ResponseHead head;
  head.status = "200 OK";
  head.content_bytes = length;
  e.respond(head);
}

Sent give(Exchange& e, std::string_view block) {
  const Sent sent = e.body(std::as_bytes(std::span(block)));
  return sent == Sent::ok ? e.deliver() : sent;
}

bool logged(const Rig<>& rig, std::string_view word) {
  for (const std::string& line : rig.log.server_lines) {
    if (has(line, word)) return true;
  }
  return false;
}

TEST(Deadlines, ACallWithoutAResponseGets504) {
  WatchedRig<> rig(limited());
  rig.slow_view(3s);
  ScriptedClient client;
  rig.sys.after(1ms, [&] { client = rig.get("/slow"); });
  rig.sys.after(900ms, [&] { EXPECT_EQ(client.received(), ""); });
  rig.sys.after(1100ms, [&] {
    EXPECT_TRUE(has(client.received(), "HTTP/1.1 504 ")) << client.received();
    EXPECT_TRUE(has(client.received(), "Connection: close"));
    EXPECT_TRUE(client.ended());
  });
  ScriptedClient next;
  rig.sys.after(2s, [&] { next = rig.get("/"); });
  rig.stop_after(4s);
  rig.run();
  EXPECT_EQ(count(client.received(), "HTTP/1.1"), 1U);
  EXPECT_TRUE(has(next.received(), "200 OK")) << "the thread is back";
  ASSERT_EQ(rig.events.size(), 1U);
  EXPECT_EQ(rig.events[0].kind, WatchKind::overdue);
  EXPECT_EQ(rig.events[0].line, "GET /slow");
  EXPECT_TRUE(has(client.received(), rig.events[0].id));
  EXPECT_TRUE(logged(rig, "504 no response from the application for 1"));
  EXPECT_TRUE(logged(rig, "GET /slow"));
  ASSERT_EQ(rig.log.access_lines.size(), 2U);
  EXPECT_TRUE(has(rig.log.access_lines[0], " 504 "));
}

TEST(Deadlines, TheLeaderRespondsWhenTheWatchDoesNot) {
  WatchedRig<> rig(limited());
  rig.answers = false;
  rig.slow_view(3s);
  ScriptedClient client = rig.get("/slow");
  rig.sys.after(1050ms, [&] { EXPECT_EQ(client.received(), ""); });
  rig.sys.after(1150ms, [&] { EXPECT_TRUE(has(client.received(), "HTTP/1.1 504 ")); });
  rig.stop_after(4s);
  rig.run();
}

TEST(Deadlines, AreEnforcedWhileACallHoldsTheLock) {
  WatchedRig<> rig(limited());
  rig.app.views["/hog"] = [&rig](Exchange& e) {
    rig.sys.sleep(10s);  // with the application lock
    FakeApplication::answer(e, "late");
  };
  ScriptedClient client = rig.get("/hog");
  ScriptedClient waiting;
  rig.sys.after(500ms, [&] { waiting = rig.get("/"); });
  rig.sys.after(1150ms, [&] { EXPECT_TRUE(has(client.received(), "HTTP/1.1 504 ")); });
  rig.sys.after(6500ms, [&] { EXPECT_TRUE(has(waiting.received(), "HTTP/1.1 503 ")); });
  rig.stop_after(11s);
  rig.run();
  EXPECT_TRUE(logged(rig, "Thread iotax-0 has not come back within 5000 ms"));
}

TEST(Deadlines, AStalledResponseIsVisiblyTruncated) {
  WatchedRig<> rig(limited());
  rig.app.views["/stops"] = [&rig](Exchange& e) {
    respond(e);
    give(e, "some");
    rig.app.sleep(3s);
    EXPECT_EQ(give(e, "more"), Sent::gone);
    e.abort();
  };
  ScriptedClient client = rig.get("/stops");
  rig.sys.after(900ms, [&] { EXPECT_FALSE(client.closed_by_server()); });
  rig.sys.after(1200ms, [&] { EXPECT_TRUE(client.closed_by_server()); });
  rig.stop_after(4s);
  rig.run();
  EXPECT_TRUE(has(client.received(), "some"));
  EXPECT_FALSE(has(client.received(), "more"));
  EXPECT_FALSE(has(client.received(), "0\r\n\r\n"));
  EXPECT_FALSE(has(client.received(), "504"));
  EXPECT_TRUE(logged(rig, "truncated: no output from the application for 1"));
  EXPECT_EQ(rig.log.access_lines.size(), 1U);
}

TEST(Deadlines, EachBlockRestartsTheClock) {
  WatchedRig<> rig(limited());
  rig.app.views["/steady"] = [&rig](Exchange& e) {
    rig.app.sleep(900ms);
    respond(e);
    for (int n = 0; n < 5; ++n) {
      give(e, "block");
      rig.app.sleep(900ms);
    }
    e.finish();
  };
  ScriptedClient client = rig.get("/steady");
  rig.stop_after(10s);
  rig.run();
  EXPECT_EQ(count(client.received(), "block"), 5U);
  EXPECT_TRUE(has(client.received(), "0\r\n\r\n"));
  EXPECT_TRUE(rig.events.empty());
}

TEST(Deadlines, WaitingForTheClientDoesNotCount) {
  Config config = limited();
  config.answer_memory_bytes = 1000;
  config.spool_bytes_max = 0;
  config.limits.rate_bytes_min = 0;
  WatchedRig<> rig(config);
  rig.app.views["/big"] = [](Exchange& e) {
    respond(e);
    for (int n = 0; n < 4; ++n) give(e, std::string(5000, 'z'));
    e.finish();
  };
  ScriptedClient client = rig.connect();
  client.read_by_hand(1000);
  client.send(Rig<>::request("/big"));
  for (int n = 1; n < 30; ++n) rig.sys.after(n * 500ms, [&] { client.read(1000); });
  rig.stop_after(20s);
  rig.run();
  EXPECT_EQ(count(client.received(), "z"), 20000U);
  EXPECT_TRUE(rig.events.empty());
}

TEST(Deadlines, PipelinedResponsesBeforeTheOverdueCallAreSentAndRequestsAfterItDropped) {
  for (const bool watched : {true, false}) {
    WatchedRig<> rig(limited());
    rig.answers = watched;
    rig.slow_view(3s);
    ScriptedClient client = rig.connect();
    rig.sys.after(1ms, [&] {
      client.send(Rig<>::request("/a") + Rig<>::request("/slow") + Rig<>::request("/b"));
    });
    rig.stop_after(4s);
    rig.run();
    EXPECT_EQ(count(client.received(), "HTTP/1.1 200"), 1U) << client.received();
    EXPECT_EQ(count(client.received(), "HTTP/1.1 504"), 1U);
    EXPECT_EQ(count(client.received(), "HTTP/1.1"), 2U);
    EXPECT_EQ(rig.app.calls.size(), 2U);
  }
}

TEST(Deadlines, ACallThatHangsAfterItsResponseReleasesTheConnection) {
  WatchedRig<> rig(limited(2));
  rig.app.views["/closes"] = [&rig](Exchange& e) {
    respond(e, 2);
    give(e, "ok");
    e.finish();
    e.deliver();
    rig.app.sleep(3s);  // its close()
  };
  ScriptedClient client = rig.get("/closes");
  rig.sys.after(500ms, [&] { EXPECT_TRUE(has(client.received(), "ok")); });
  rig.sys.after(1500ms, [&] {
    client.take();
    client.send(Rig<>::request("/"));
  });
  rig.sys.after(1600ms, [&] { EXPECT_TRUE(has(client.received(), "hello")); });
  rig.stop_after(4s);
  rig.run();
  EXPECT_EQ(rig.events.size(), 1U);
}

TEST(Deadlines, WithActionLogAnOverdueCallIsOnlyLogged) {
  Config config = limited();
  config.slow_request = 500ms;
  config.timeout_action = TimeoutAction::log;
  WatchedRig<> rig(config);
  rig.answers = false;
  rig.slow_view(3s);
  ScriptedClient client = rig.get("/slow");
  rig.stop_after(4s);
  rig.run();
  EXPECT_TRUE(has(client.received(), "200 OK"));
  ASSERT_EQ(rig.events.size(), 2U);
  EXPECT_EQ(rig.events[0].kind, WatchKind::slow);
  EXPECT_EQ(rig.events[1].kind, WatchKind::overdue);
}

TEST(Deadlines, ASuspendedCallHasNoDeadline) {
  WatchedRig<> rig(limited());
  rig.answers = false;
  rig.slow_view(3s);
  ScriptedClient client = rig.get("/slow");
  rig.sys.after(1050ms, [&] {
    ASSERT_EQ(rig.events.size(), 1U);
    rig.worker->overdue().suspend(rig.events[0].thread, rig.events[0].word);
  });
  rig.stop_after(4s);
  rig.run();
  EXPECT_TRUE(has(client.received(), "200 OK"));
}

TEST(Deadlines, LostThreadsAreReplacedAndFromHalfOfThemOnTheWorkerIs) {
  WatchedRig<> rig(limited(3));
  rig.slow_view(30s);
  std::vector<ScriptedClient> clients;
  rig.sys.after(1ms, [&] { clients.push_back(rig.get("/slow")); });
  rig.sys.after(8s, [&] {
    EXPECT_EQ(rig.started.size(), 1U);
    EXPECT_FALSE(logged(rig, "Too many threads"));
    for (int n = 0; n < 3; ++n) clients.push_back(rig.get("/slow"));  // all three that are left
  });
  rig.sys.after(8500ms, [&] { EXPECT_EQ(rig.app.running.size(), 4U); });
  rig.sys.after(16s, [&] {
    EXPECT_TRUE(logged(rig, "Too many threads"));
    EXPECT_EQ(rig.started.size(), 2U);
    clients.push_back(rig.get("/"));
  });
  rig.sys.after(17s, [&] { EXPECT_TRUE(has(clients.back().received(), "200 OK")); });
  rig.stop_after(45s);
  rig.run();
  EXPECT_TRUE(logged(rig, "has returned"));
}

TEST(Deadlines, AThreadThatCannotBeStartedCountsAsLost) {
  WatchedRig<> rig(limited(2));
  rig.can_start = false;
  rig.slow_view(20s);
  std::vector<ScriptedClient> slow;
  ScriptedClient queued;
  ScriptedClient later;
  rig.sys.after(1ms, [&] { slow.push_back(rig.get("/slow")); });
  rig.sys.after(7s, [&] {
    EXPECT_EQ(rig.worker->threads_present(), 3U);
    EXPECT_TRUE(logged(rig, "Too many threads")) << "one of two threads is left";
    slow.push_back(rig.get("/slow"));
  });
  rig.sys.after(9s, [&] { queued = rig.get("/"); });
  rig.sys.after(14s, [&] {
    EXPECT_TRUE(has(queued.received(), "HTTP/1.1 503 ")) << "no thread is left that could take it";
  });
  rig.sys.after(22s, [&] { later = rig.get("/"); });
  rig.sys.after(23s, [&] {
    EXPECT_TRUE(has(later.received(), "200 OK")) << "the first one is back and has kept its slot";
  });
  rig.stop_after(30s);
  rig.run();
}

TEST(Deadlines, TheOnlyThreadIsNotReplacedAndServesAgainWhenItReturns) {
  WatchedRig<> rig(limited());
  rig.slow_view(20s);
  ScriptedClient slow = rig.get("/slow");
  ScriptedClient queued;
  ScriptedClient refused;
  ScriptedClient later;
  rig.sys.after(3s, [&] { queued = rig.get("/"); });
  rig.sys.after(7s, [&] { EXPECT_TRUE(has(queued.received(), "HTTP/1.1 503 ")); });
  rig.sys.after(8s, [&] { refused = rig.get("/"); });
  rig.sys.after(9s, [&] { EXPECT_NE(refused.unread_by_server(), 0U) << "nothing is accepted"; });
  rig.sys.after(21s, [&] {
    EXPECT_TRUE(has(refused.received(), "200 OK"));
    later = rig.get("/");
  });
  rig.stop_after(22s);
  rig.run();
  EXPECT_TRUE(has(later.received(), "200 OK"));
  EXPECT_TRUE(rig.started.empty());
}

TEST(Deadlines, AStopWaitsForAnExpiredCallAndThenExits) {
  WatchedRig<> rig(limited());
  rig.slow_view(20s);
  ScriptedClient slow = rig.get("/slow");
  rig.stop_after(1500ms);
  rig.sys.after(5s, [&] { EXPECT_TRUE(rig.app.ended_with.empty()); });
  rig.sys.after(7s, [&] { EXPECT_EQ(rig.app.ended_with.size(), 1U); });
  rig.run();
  EXPECT_TRUE(has(slow.received(), "504"));
}

/// Calls that end just when they are overdue: one response each, from either side.
class SimDeadlines : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SimDeadlines, EveryRequestGetsOneResponse) {
  const std::uint64_t seed = GetParam();
  Config config = limited(static_cast<unsigned>(1 + seed % 3));
  config.request_timeout = 10ms;
  config.timeout_grace = seed % 2 == 0 ? 1ms : 1s;
  config.limits.keep_alive = 100s;
  WatchedRig<> rig(config, seed);
  rig.answers = seed % 5 != 0;
  rig.app.views["/near"] = [&rig](Exchange& e) {
    rig.app.sleep(core::Duration{9500us} +
                  core::Duration{std::chrono::microseconds{rig.sys.random() % 1000}});
    FakeApplication::answer(e, "near");
  };
  rig.app.views["/stream"] = [&rig](Exchange& e) {
    respond(e);
    for (int n = 0; n < 3; ++n) {
      give(e, "piece");
      rig.app.sleep(core::Duration{std::chrono::microseconds{rig.sys.random() % 10400}});
    }
    e.finish();
  };
  std::vector<ScriptedClient> clients(20);
  for (std::size_t n = 0; n < clients.size(); ++n) {
    rig.sys.after(n * 7ms, [&, n] {
      clients[n] = rig.connect();
      clients[n].send(Rig<>::request("/") + Rig<>::request(n % 3 == 0 ? "/stream" : "/near") +
                      Rig<>::request("/"));
    });
  }
  rig.stop_after(20s);
  rig.run();
  for (const ScriptedClient& client : clients) {
    const std::string& got = client.received();
    EXPECT_TRUE(client.closed_by_server()) << "seed " << seed;
    if (has(got, "503")) continue;  // no thread was left
    const std::size_t whole = count(got, "HTTP/1.1 200 OK");
    EXPECT_GE(whole, 1U) << "seed " << seed << "\n" << got;
    if (has(got, "504")) {
      EXPECT_EQ(count(got, "HTTP/1.1"), 2U) << "seed " << seed << "\n" << got;
    } else if (count(got, "piece") != 0 && !has(got, "0\r\n\r\n")) {
      EXPECT_EQ(count(got, "HTTP/1.1"), 2U) << "seed " << seed << "\n" << got;
    } else {
      EXPECT_EQ(whole, 3U) << "seed " << seed << "\n" << got;
    }
  }
  EXPECT_EQ(rig.sys.closed_while_watched(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimDeadlines, testing::Range<std::uint64_t>(1, 61));

}  // namespace
}  // namespace iotax
