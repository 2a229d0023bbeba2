// The worker on the scripted system: what the loop does for clients, and what the lead does when
// calls last.
#include "driver/worker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "support/fake_application.h"
#include "support/words_in.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Config;
using driver::Exchange;
using driver::Sent;
using driver::Stop;
using support::count;
using support::FakeApplication;
using support::has;
using support::Rig;
using support::ScriptedClient;
using support::with_threads;

// ---- what a turn costs

TEST(WorkerTurn, OneRecvAndOneSendPerRequestAndNoEpollCtl) {
  Rig rig;
  ScriptedClient client = rig.get("/");
  std::uint64_t recvs = 0;
  std::uint64_t sends = 0;
  std::uint64_t controls = 0;
  rig.sys.after(100ms, [&] {
    recvs = rig.sys.calls("recv");
    sends = rig.sys.calls("send") + rig.sys.calls("send_gathered");
    controls = rig.sys.calls("epoll_ctl");
  });
  for (int n = 1; n <= 10; ++n) {
    rig.sys.after(100ms + n * 1ms, [&] { client.send(Rig<>::request("/")); });
  }
  rig.sys.after(200ms, [&] {
    EXPECT_EQ(rig.sys.calls("recv") - recvs, 10U);
    EXPECT_EQ(rig.sys.calls("send") + rig.sys.calls("send_gathered") - sends, 10U);
    EXPECT_EQ(rig.sys.calls("epoll_ctl") - controls, 0U);
  });
  rig.stop_after(300ms);
  rig.run();
  EXPECT_EQ(count(client.received(), "HTTP/1.1 200 OK"), 11U);
}

TEST(WorkerTurn, SixteenPipelinedResponsesAreSentInOneCall) {
  Rig rig;
  ScriptedClient client = rig.connect();
  rig.sys.after(10ms, [&] {
    rig.sys.reset_calls();
    std::string all;
    for (int n = 0; n < 16; ++n) all += Rig<>::request("/");
    client.send(all);
  });
  rig.sys.after(20ms, [&] {
    EXPECT_EQ(rig.sys.calls("recv"), 1U);
    EXPECT_EQ(rig.sys.calls("send") + rig.sys.calls("send_gathered"), 1U);
  });
  rig.stop_after(30ms);
  rig.run();
  EXPECT_EQ(count(client.received(), "HTTP/1.1 200 OK"), 16U);
}

/// Two connections with three pipelined requests each, which arrive in one turn; what was called,
/// in order, when each call lasts `each`.
std::vector<std::string> order_of_two(core::Duration each) {
  Rig rig;
  for (const char* path : {"/a1", "/a2", "/a3", "/b1", "/b2", "/b3"}) {
    rig.app.views[path] = [&rig, each](driver::Exchange& e) {
      rig.sys.sleep(each);
      FakeApplication::answer(e, "ok");
    };
  }
  ScriptedClient a = rig.connect();
  ScriptedClient b = rig.connect();
  rig.sys.after(10ms, [&] {
    a.send(Rig<>::request("/a1") + Rig<>::request("/a2") + Rig<>::request("/a3"));
    b.send(Rig<>::request("/b1") + Rig<>::request("/b2") + Rig<>::request("/b3"));
  });
  rig.stop_after(100ms);
  rig.run();
  std::vector<std::string> order;
  for (const FakeApplication::Call& call : rig.app.calls) order.push_back(call.path);
  return order;
}

TEST(WorkerTurn, PipelinedRequestsRunTogetherWhileCallsAreQuick) {
  const std::vector<std::string> expected{"/a1", "/a2", "/a3", "/b1", "/b2", "/b3"};
  EXPECT_EQ(order_of_two(1us), expected);
}

TEST(WorkerTurn, PipelinedRequestsYieldToOtherConnectionsWhenCallsAreSlow) {
  const std::vector<std::string> expected{"/a1", "/a2", "/b1", "/b2", "/a3", "/b3"};
  EXPECT_EQ(order_of_two(150us), expected);
}

TEST(WorkerTurn, AnIdleServerMakesNoSystemCalls) {
  Rig rig(with_threads(4));
  ScriptedClient client = rig.get("/");
  rig.sys.after(1s, [&] { client.close(); });
  std::uint64_t before = 0;
  const auto all = [&] {
    return rig.sys.calls() + rig.sys.calls("futex_wait") + rig.sys.calls("epoll_wait") +
           rig.sys.calls("poll");
  };
  rig.sys.after(2s, [&] { before = all(); });
  rig.sys.after(3600s, [&] { EXPECT_EQ(all(), before); });
  rig.stop_after(3601s);
  rig.run();
}

TEST(WorkerTurn, AnIdleConnectionMakesNoSystemCallsUntilItIsClosed) {
  Config config;
  config.limits.keep_alive = 7200s;
  Rig rig(config);
  ScriptedClient client = rig.get("/");
  std::uint64_t before = 0;
  rig.sys.after(30s, [&] { before = rig.sys.calls() + rig.sys.calls("epoll_wait"); });
  rig.sys.after(7199s, [&] {
    EXPECT_EQ(rig.sys.calls() + rig.sys.calls("epoll_wait"), before);
    EXPECT_FALSE(client.closed_by_server());
  });
  rig.sys.after(7210s, [&] { EXPECT_TRUE(client.closed_by_server()); });
  rig.stop_after(7211s);
  rig.run();
}

TEST(WorkerTurn, KeepAliveTimeoutRunsFromTheEndOfTheLastResponse) {
  Config config;
  config.limits.keep_alive = 2s;
  Rig rig(config);
  rig.slow_view(3s);
  ScriptedClient late = rig.get("/slow");  // its thread has lost the lead
  ScriptedClient queued = rig.get("/");    // waits for it
  rig.sys.after(4900ms, [&] {
    EXPECT_FALSE(late.ended());
    EXPECT_FALSE(queued.ended());
  });
  rig.sys.after(5100ms, [&] {
    EXPECT_TRUE(late.ended());
    EXPECT_TRUE(queued.ended());
  });
  rig.stop_after(60s);
  rig.run();
}

TEST(WorkerTurn, TimersFireInTimeDuringALongCall) {
  Config config;
  config.limits.keep_alive = 5s;
  Rig rig(config);
  rig.slow_view(3s);
  ScriptedClient slow = rig.get("/slow");
  ScriptedClient idle = rig.connect();
  rig.sys.after(4900ms, [&] { EXPECT_FALSE(idle.ended()); });
  rig.sys.after(5100ms, [&] { EXPECT_TRUE(idle.ended()); });
  rig.stop_after(60s);
  rig.run();
}

// ---- the lead

TEST(Lead, ASlowCallDoesNotDelayTheNetwork) {
  Rig rig;
  rig.slow_view(5s);
  ScriptedClient slow = rig.get("/slow");
  ScriptedClient bad;
  ScriptedClient half = rig.connect();
  half.send("GET / HT");
  rig.sys.after(100ms, [&] {
    bad = rig.connect();
    bad.send("GET  / HTTP/1.1\r\n\r\n");
  });
  rig.sys.after(104ms, [&] { EXPECT_TRUE(has(bad.received(), "HTTP/1.1 400")); });
  rig.sys.after(6s, [&] { EXPECT_TRUE(has(slow.received(), "slow")); });
  rig.sys.after(10100ms, [&] { EXPECT_TRUE(has(half.received(), "HTTP/1.1 408")); });
  rig.stop_after(11s);
  rig.run();
}

TEST(Lead, ResponsesBeforeASlowCallAreSentImmediately) {
  Rig rig;
  rig.slow_view(5s);
  ScriptedClient client = rig.connect();
  client.send(Rig<>::request("/") + Rig<>::request("/") + Rig<>::request("/slow") +
              Rig<>::request("/"));
  rig.sys.after(5ms, [&] { EXPECT_EQ(count(client.received(), "hello"), 2U); });
  rig.stop_after(6s);
  rig.run();
  EXPECT_EQ(count(client.received(), "HTTP/1.1 200 OK"), 4U);
  EXPECT_LT(client.received().find("slow"), client.received().rfind("hello"));
}

TEST(Lead, OneThreadRunsEveryCallOfManyQuickAndSlowOnes) {
  Rig rig;
  int n = 0;
  rig.app.views["/mixed"] = [&](Exchange& e) {
    if (++n % 7 == 0) rig.app.sleep(4ms);
    FakeApplication::answer(e, "mixed");
  };
  std::vector<ScriptedClient> clients;
  for (int c = 0; c < 20; ++c) clients.push_back(rig.connect());
  for (int turn = 0; turn < 50; ++turn) {
    rig.sys.after(1ms + turn * 3ms, [&] {
      for (ScriptedClient& client : clients) client.send(Rig<>::request("/mixed"));
    });
  }
  rig.stop_after(20s);
  rig.run();
  EXPECT_EQ(rig.app.calls.size(), 1000U);
  for (const auto& call : rig.app.calls) EXPECT_EQ(call.native_thread, 0U);
  for (const ScriptedClient& client : clients) EXPECT_EQ(count(client.received(), "mixed"), 50U);
}

TEST(Lead, EightThreadsRunEightCallsConcurrently) {
  Rig rig(with_threads(8));
  rig.slow_view(5s);
  std::vector<ScriptedClient> clients;
  for (int c = 0; c < 8; ++c) clients.push_back(rig.get("/slow"));
  rig.sys.after(5500ms, [&] {
    for (const ScriptedClient& client : clients) EXPECT_TRUE(has(client.received(), "slow"));
  });
  rig.stop_after(6s);
  rig.run();
  EXPECT_EQ(rig.app.running_most, 8U);
}

TEST(Lead, QuickCallsContinueNextToAHungOne) {
  Rig rig(with_threads(2));
  rig.app.views["/hung"] = [&](Exchange& e) {
    rig.app.sleep(60s);
    FakeApplication::answer(e, "hung");
  };
  ScriptedClient hung = rig.get("/hung");
  ScriptedClient quick = rig.connect();
  for (int n = 0; n < 100; ++n) {
    rig.sys.after(10ms + n * 10ms, [&] { quick.send(Rig<>::request("/")); });
    rig.sys.after(14ms + n * 10ms, [&, n] {
      EXPECT_EQ(count(quick.received(), "hello"), static_cast<std::size_t>(n) + 1);
    });
  }
  rig.stop_after(61s);
  rig.run();
}

TEST(Lead, ASessionThatWaitedDuringATakeOverIsWatchedAgain) {
  // A ready session is masked while it waits, answered by the next leader, and must be in the
  // poller afterwards.
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Rig rig(with_threads(2), seed);
    rig.slow_view(3ms);
    std::vector<ScriptedClient> clients;
    for (int c = 0; c < 6; ++c) {
      clients.push_back(rig.get(c % 2 == 0 ? "/slow" : "/"));
      rig.sys.after(1ms + c * 300us, [&clients, c] {
        clients[static_cast<std::size_t>(c)].send(Rig<>::request("/"));
      });
      rig.sys.after(
          200ms, [&clients, c] { clients[static_cast<std::size_t>(c)].send(Rig<>::request("/")); });
    }
    rig.stop_after(1s);
    rig.run();
    for (const ScriptedClient& client : clients) {
      EXPECT_EQ(count(client.received(), "HTTP/1.1 200 OK"), 3U) << "seed " << seed;
    }
  }
}

TEST(Lead, ASessionMaskedWhileItReturnsIsWatchedAgain) {
  // The next request arrives just when a late call ends: with some seeds the leader has removed the
  // session from the poller when it finds that the loop owns it again.
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Rig rig(with_threads(2), seed);
    rig.slow_view(3ms);
    ScriptedClient client = rig.get("/slow");
    for (const core::Duration time : {3ms, 200ms}) {
      rig.sys.after(time, [&] { client.send(Rig<>::request("/slow")); });
    }
    rig.sys.after(300ms, [&] {
      EXPECT_EQ(count(client.received(), "HTTP/1.1 200 OK"), 3U) << "seed " << seed;
    });
    rig.stop_after(400ms);
    rig.run();
  }
}

TEST(Lead, AResetDuringACallDoesNotMakeTheLeaderSpin) {
  Rig rig;
  rig.app.views["/slow"] = [&](Exchange& e) {
    rig.app.sleep(5s);
    EXPECT_TRUE(e.gone());
    FakeApplication::answer(e, "slow");
  };
  ScriptedClient client = rig.get("/slow");
  rig.sys.after(100ms, [&] { client.reset(); });
  std::uint64_t before = 0;
  rig.sys.after(200ms, [&] { before = rig.sys.calls(); });
  rig.sys.after(4900ms, [&] { EXPECT_LT(rig.sys.calls() - before, 50U); });
  rig.stop_after(6s);
  rig.run();
  ASSERT_EQ(rig.log.access_lines.size(), 1U);
  EXPECT_TRUE(has(rig.log.access_lines[0], " 499 "));
}

// ---- bodies before the call, responses after it

TEST(Body, IsCompleteBeforeTheCall) {
  Rig rig;
  std::string seen;
  rig.app.views["/in"] = [&](Exchange& e) {
    std::array<std::byte, 100> block;
    for (;;) {
      const driver::BodyRead got = e.read_body(block);
      if (got.bytes == 0) break;
      seen.append(reinterpret_cast<const char*>(block.data()), got.bytes);
    }
    FakeApplication::answer(e, "got it");
  };
  ScriptedClient client = rig.connect();
  client.send(
      "POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\nExpect: 100-continue\r\n\r\n");
  rig.sys.after(1s, [&] {
    EXPECT_TRUE(has(client.received(), "HTTP/1.1 100 Continue"));
    EXPECT_TRUE(rig.app.calls.empty());
    client.send(std::string(100, 'a'));
  });
  rig.sys.after(2s, [&] {
    EXPECT_TRUE(rig.app.calls.empty());
    client.send(std::string(200, 'b'));
  });
  rig.stop_after(3s);
  rig.run();
  EXPECT_EQ(seen, std::string(100, 'a') + std::string(200, 'b'));
  EXPECT_TRUE(has(client.received(), "got it"));
}

TEST(Body, BeyondTheMemoryLimitGoesToATemporaryFile) {
  Config config;
  config.body_memory_bytes = 1000;
  Rig rig(config);
  std::string seen;
  rig.app.views["/in"] = [&](Exchange& e) {
    EXPECT_FALSE(e.body_in_memory());
    EXPECT_EQ(e.body_bytes(), 50000U);
    std::array<std::byte, 4096> block;
    for (;;) {
      const driver::BodyRead got = e.read_body(block);
      if (got.bytes == 0) break;
      seen.append(reinterpret_cast<const char*>(block.data()), got.bytes);
    }
    FakeApplication::answer(e, "got it");
  };
  std::string sent;
  for (int n = 0; sent.size() < 50000; ++n) sent += std::to_string(n);
  sent.resize(50000);
  ScriptedClient client = rig.connect();
  client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + sent);
  rig.stop_after(3s);
  rig.run();
  EXPECT_EQ(seen, sent);
  EXPECT_GT(rig.sys.calls("open_temporary"), 0U);
}

TEST(Body, AFullDiskGives503AndAffectsNoOtherRequest) {
  Config config;
  config.body_memory_bytes = 1000;
  Rig rig(config);
  rig.sys.set_disk_room(5000);
  ScriptedClient client = rig.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" +
              std::string(50000, 'x'));
  ScriptedClient other;
  rig.sys.after(1s, [&] { other = rig.get("/"); });
  rig.stop_after(3s);
  rig.run();
  EXPECT_TRUE(has(client.received(), "HTTP/1.1 503"));
  EXPECT_TRUE(has(other.received(), "hello"));
}

TEST(Body, IsKeptAfterTheResponseWhileItsRestArrives) {
  Rig rig;
  std::string seen;
  rig.app.views["/in"] = [&](Exchange& e) {
    const auto content = *e.body_in_memory();
    seen.assign(reinterpret_cast<const char*>(content.data()), content.size());
    FakeApplication::answer(e, "got it");
  };
  ScriptedClient client = rig.connect();
  client.send(Rig<>::request("/") + "POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nt");
  rig.sys.after(1s, [&] { client.send("hree"); });
  rig.stop_after(2s);
  rig.run();
  EXPECT_EQ(seen, "three");
}

TEST(Body, TooLargeToStoreIsRejectedAtItsHead) {
  Config config;
  config.limits.body_bytes_max = 0;
  config.body_memory_bytes = 1000;
  config.spool_bytes_max = 20'000;
  Rig rig(config);
  const auto head = [](int bytes) {
    return "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: " +
           std::to_string(bytes) + "\r\n\r\n";
  };
  ScriptedClient over = rig.connect();
  over.send(head(21'001));
  ScriptedClient exact = rig.connect();
  exact.send(head(21'000) + std::string(21'000, 'b'));
  ScriptedClient chunked = rig.connect();
  chunked.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5209\r\n" +
               std::string(21'001, 'b'));
  rig.stop_after(1s);
  rig.run();
  EXPECT_TRUE(over.received().starts_with("HTTP/1.1 413 ")) << over.received();
  EXPECT_TRUE(has(over.received(), "--spool-max")) << over.received();
  EXPECT_TRUE(has(exact.received(), "hello")) << exact.received();
  EXPECT_TRUE(has(chunked.received(), "HTTP/1.1 413 ")) << chunked.received();
  EXPECT_EQ(rig.app.calls.size(), 1U);
}

TEST(Body, OfOptionsIsReleasedWithItsResponse) {
  Rig rig;
  const driver::StorageBudget& budget = rig.worker->intake().budget();
  const std::uint64_t memory = budget.request_memory.left();
  ScriptedClient client = rig.connect();
  client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" +
              std::string(50'000, 'b'));
  rig.sys.after(1s, [&] {
    EXPECT_TRUE(has(client.received(), "HTTP/1.1 204 "));
    EXPECT_EQ(budget.request_memory.left(), memory);
  });
  rig.stop_after(2s);
  rig.run();
}

TEST(Body, HasRoomNextToUnsentResponses) {
  Config config;
  config.threads = 4;
  config.answer_memory_bytes = 10'000;
  config.body_memory_bytes = 1000;
  config.spool_bytes_max = 1 << 20;
  Rig rig(config);
  const std::string huge(3'000'000, '#');
  rig.app.views["/huge"] = [&](Exchange& e) { FakeApplication::answer(e, huge); };
  std::vector<ScriptedClient> stuck;
  for (int n = 0; n < 3; ++n) {
    stuck.push_back(rig.connect());
    stuck.back().read_by_hand(1000);
    stuck.back().send(Rig<>::request("/huge"));
  }
  ScriptedClient upload;
  rig.sys.after(1s, [&] {
    upload = rig.connect();
    upload.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 250000\r\n\r\n" +
                std::string(250'000, 'b'));
  });
  rig.sys.after(1100ms, [&] { EXPECT_TRUE(has(upload.received(), "hello")) << upload.received(); });
  rig.stop_after(2s, Stop::now);
  rig.sys.after(2s, [&] {
    for (ScriptedClient& one : stuck) one.reset();
  });
  rig.run();
}

TEST(Body, LeavesDescriptorsForConnections) {
  Config config;
  config.limits.body_bytes_max = 0;
  config.body_memory_bytes = 100;
  Rig rig(config);
  rig.worker->intake().budget().descriptors.set_most(40);
  std::vector<ScriptedClient> uploads;
  for (int n = 0; n < 20; ++n) {
    uploads.push_back(rig.connect());
    uploads.back().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n" +
                        std::string(200, 'b'));
  }
  ScriptedClient other;
  rig.sys.after(1s, [&] { other = rig.get("/"); });
  rig.sys.after(1100ms, [&] {
    EXPECT_TRUE(has(other.received(), "hello"));
    std::size_t refused = 0;
    for (const ScriptedClient& one : uploads) {
      if (has(one.received(), "HTTP/1.1 503 ")) ++refused;
    }
    EXPECT_EQ(refused, 10U) << "a quarter of the descriptors is for files";
    for (ScriptedClient& one : uploads) one.close();
  });
  rig.stop_after(10s);
  rig.run();
  EXPECT_EQ(rig.worker->intake().budget().descriptors.used(), 0U);
}

TEST(Body, ReleasesItsStorageWhenItsRequestEnds) {
  Config config;
  config.body_memory_bytes = 1000;
  config.spool_bytes_max = 60000;
  Rig rig(config);
  const auto post = [](std::size_t bytes) {
    return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" +
           std::string(bytes, 'x');
  };
  ScriptedClient keeps = rig.connect();
  keeps.send(post(50000));
  ScriptedClient half = rig.connect();
  rig.sys.after(50ms, [&] { half.send(post(20000).substr(0, 12000)); });
  ScriptedClient too_much;
  ScriptedClient after;
  rig.sys.after(100ms, [&] {
    too_much = rig.connect();
    too_much.send(post(55000));
  });
  rig.sys.after(200ms, [&] {
    after = rig.connect();
    after.send(post(49000));
  });
  rig.stop_after(1s);
  rig.run();
  EXPECT_TRUE(has(keeps.received(), "hello"));
  EXPECT_TRUE(has(too_much.received(), "HTTP/1.1 503"));
  EXPECT_TRUE(has(after.received(), "hello"));
}

TEST(Body, CanBeReadWhileItArrives) {
  Config config;
  config.request_buffering = false;
  Rig rig(config);
  std::string seen;
  rig.app.views["/in"] = [&](Exchange& e) {
    std::array<std::byte, 100> block;
    for (;;) {
      const driver::BodyRead got = e.read_body(block);
      if (got.bytes == 0) {
        EXPECT_EQ(got.error, driver::BodyError::none);
        break;
      }
      seen.append(reinterpret_cast<const char*>(block.data()), got.bytes);
      seen += '|';
    }
    FakeApplication::answer(e, "got it");
  };
  ScriptedClient client = rig.connect();
  client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
  ScriptedClient other;
  rig.sys.after(1s, [&] {
    EXPECT_EQ(seen, "abc|");
    other = rig.connect();
    other.send("nonsense\r\n\r\n");
  });
  rig.sys.after(1005ms, [&] {
    EXPECT_TRUE(has(other.received(), " 400 "));
  });  // the lead was given up immediately
  rig.sys.after(2s, [&] { client.send("de" + Rig<>::request("/")); });
  rig.stop_after(3s);
  rig.run();
  EXPECT_EQ(seen, "abc|de|");
  EXPECT_TRUE(has(client.received(), "got it"));
  EXPECT_TRUE(has(client.received(), "hello"));
}

/// Frameworks rely on CONTENT_LENGTH, which a chunked body has only when it is complete.
TEST(Body, InChunksIsAlwaysCompleteBeforeTheCall) {
  for (const bool request_buffering : {true, false}) {
    Config config;
    config.request_buffering = request_buffering;
    Rig rig(config);
    std::vector<std::optional<std::uint64_t>> sizes;
    rig.app.views["/in"] = [&](Exchange& e) {
      sizes.push_back(e.body_bytes());
      EXPECT_TRUE(e.body_is_stored());
      FakeApplication::answer(e, "got it");
    };
    ScriptedClient client = rig.connect();
    client.send(
        "POST /in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: "
        "100-continue\r\n\r\n");
    rig.sys.after(1s, [&] {
      EXPECT_TRUE(has(client.received(), "HTTP/1.1 100 Continue\r\n\r\n"));
      client.send("3\r\nabc\r\n");
    });
    rig.sys.after(2s, [&] {
      EXPECT_TRUE(sizes.empty());
      client.send("2\r\nde\r\n0\r\n\r\n");
    });
    rig.stop_after(3s);
    rig.run();
    EXPECT_EQ(sizes, (std::vector<std::optional<std::uint64_t>>{5}));
    EXPECT_TRUE(has(client.received(), "got it"));
  }
}

TEST(Body, ReadByTheCallBeforeTheLeaderKeepsTheConnectionWatched) {
  Config config;
  config.request_buffering = false;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Rig rig(config, seed);
    rig.app.views["/in"] = [](Exchange& e) {
      std::array<std::byte, 100> block;
      while (e.read_body(block).bytes != 0) {
      }
      FakeApplication::answer(e, "got it");
    };
    ScriptedClient client = rig.connect();
    client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    rig.sys.after(1s, [&] { client.send("b"); });
    rig.sys.after(2s, [&] { client.send(Rig<>::request("/")); });
    std::string received;
    rig.sys.after(3s, [&] { received = client.received(); });
    rig.stop_after(4s);
    rig.run();
    ASSERT_TRUE(has(received, "hello")) << "seed " << seed;
  }
}

TEST(Body, DoesNotTimeOutWhileTheApplicationDoesNotRead) {
  Config config;
  config.request_buffering = false;
  Rig rig(config);
  driver::BodyRead got{};
  rig.app.views["/in"] = [&](Exchange& e) {
    rig.app.sleep(60s);
    std::array<std::byte, 100> block;
    got = e.read_body(block);
    FakeApplication::answer(e, "got it");
  };
  ScriptedClient client = rig.connect();
  client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
  rig.sys.after(1s, [&] { client.send("abc"); });
  rig.stop_after(62s);
  rig.run();
  EXPECT_EQ(got.error, driver::BodyError::none);
  EXPECT_EQ(got.bytes, 3U);
}

TEST(Heads, OfPipelinedRequestsAreTimedFromTheResponseBeforeThem) {
  Config config;
  config.limits.receive_timeout = 2s;
  Rig rig(config);
  rig.app.views["/hangs"] = [&](Exchange& e) {
    rig.app.sleep(5s);
    FakeApplication::answer(e, "done");
  };
  ScriptedClient hangs = rig.get("/hangs");
  ScriptedClient waits;
  rig.sys.after(1s, [&] {
    waits = rig.connect();
    waits.send(Rig<>::request("/") + "GET / HTTP/1.1\r\nHo");
  });
  rig.sys.after(1001ms, [&] { waits.send("st: a\r\n\r\n"); });
  rig.stop_after(8s);
  rig.run();
  EXPECT_EQ(count(waits.received(), "hello"), 2U) << waits.received();
}

TEST(Body, AStalledBodyTimesOutForItsReader) {
  Config config;
  config.request_buffering = false;
  Rig rig(config);
  driver::BodyRead got{};
  rig.app.views["/in"] = [&](Exchange& e) {
    std::array<std::byte, 100> block;
    do {
      got = e.read_body(block);
    } while (got.bytes > 0);
    e.fail(500, "no content");
  };
  ScriptedClient client = rig.connect();
  client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
  rig.stop_after(20s);
  rig.run();
  EXPECT_EQ(got.error, driver::BodyError::timed_out);
  EXPECT_TRUE(has(client.received(), "HTTP/1.1 408"));
  EXPECT_EQ(rig.log.server_lines.size(), 1U);
}

TEST(Body, ARejectedBodyIsLoggedWithTheResponseOfTheClient) {
  using End = void (*)(Exchange&);
  for (const End end :
       {End{[](Exchange& e) { e.fail(500, "failed"); }}, End{[](Exchange& e) { e.abort(); }},
        End{[](Exchange& e) { FakeApplication::answer(e, ""); }}}) {
    Config config;
    config.request_buffering = false;
    Rig rig(config);
    rig.app.views["/in"] = [&](Exchange& e) {
      std::array<std::byte, 100> block;
      while (e.read_body(block).bytes > 0) {
      }
      end(e);
    };
    ScriptedClient client = rig.connect();
    client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
    rig.stop_after(20s);
    rig.run();
    const std::string& got = client.received();
    const std::size_t content = got.size() - got.find("\r\n\r\n") - 4;
    EXPECT_EQ(count(got, "HTTP/1.1"), 1U);
    ASSERT_EQ(rig.log.access_lines.size(), 1U);
    EXPECT_TRUE(
        has(rig.log.access_lines[0], "408 Request Timeout " + std::to_string(content) + "B "))
        << rig.log.access_lines[0];
  }
}

TEST(Responses, ThatTakeLongToSendLeaveTheConnectionOpen) {
  Rig rig;
  const std::string big(300000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(5000);
  slow.send(Rig<>::request("/big"));
  for (int n = 0; n < 70; ++n) rig.sys.after(1s + n * 1s, [&] { slow.read(5000); });
  rig.sys.after(75s, [&] {
    EXPECT_EQ(count(slow.received(), "#"), big.size());
    slow.send(Rig<>::request("/"));
    slow.read(5000);
  });
  rig.sys.after(76s, [&] { slow.read(5000); });
  rig.stop_after(80s);
  rig.run();
  EXPECT_EQ(count(slow.received(), "hello"), 1U);
}

TEST(Body, ATruncatedBodyIsAnErrorForItsReader) {
  Config config;
  config.request_buffering = false;
  Rig rig(config);
  std::vector<driver::BodyError> errors;
  rig.app.views["/in"] = [&](Exchange& e) {
    std::array<std::byte, 100> block;
    driver::BodyRead got{};
    do {
      got = e.read_body(block);
    } while (got.bytes > 0);
    errors.push_back(got.error);
    errors.push_back(e.read_body(block).error);
    e.fail(500, "failed");
  };
  ScriptedClient client = rig.connect();
  client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  rig.sys.after(1s, [&] { client.half_close(); });
  rig.stop_after(3s);
  rig.run();
  EXPECT_EQ(errors,
            (std::vector{driver::BodyError::disconnected, driver::BodyError::disconnected}));
  EXPECT_TRUE(has(client.received(), "HTTP/1.1 400"));
  EXPECT_FALSE(has(client.received(), "HTTP/1.1 500"));
}

TEST(Responses, OfTheServerAreLoggedWithTheirBodySize) {
  Rig rig;
  rig.app.views["/fails"] = [](Exchange& e) { e.fail(500, "failed"); };
  ScriptedClient get = rig.get("/fails");
  ScriptedClient head;
  rig.sys.after(1s, [&] {
    head = rig.connect();
    head.send("HEAD /fails HTTP/1.1\r\nHost: a\r\n\r\n");
  });
  rig.stop_after(2s);
  rig.run();
  const std::string& got = get.received();
  const std::size_t content = got.size() - got.find("\r\n\r\n") - 4;
  EXPECT_TRUE(has(got, "Content-Length: " + std::to_string(content) + "\r\n"));
  ASSERT_EQ(rig.log.access_lines.size(), 2U);
  EXPECT_TRUE(
      has(rig.log.access_lines[0], "500 Internal Server Error " + std::to_string(content) + "B "))
      << rig.log.access_lines[0];
  EXPECT_TRUE(has(rig.log.access_lines[1], "500 Internal Server Error 0B "))
      << rig.log.access_lines[1];
}

TEST(Responses, ASlowClientOccupiesNoThread) {
  Config config;
  config.answer_memory_bytes = 10000;
  Rig rig(config);
  const std::string big(300000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(1000);
  slow.send(Rig<>::request("/big"));
  ScriptedClient other;
  rig.sys.after(100ms, [&] { other = rig.get("/"); });
  rig.sys.after(105ms, [&] { EXPECT_TRUE(has(other.received(), "hello")); });
  for (int n = 0; n < 400; ++n) {
    rig.sys.after(200ms + n * 10ms, [&] { slow.read(1000); });
  }
  rig.stop_after(10s);
  rig.run();
  EXPECT_EQ(count(slow.received(), "#"), big.size());
}

TEST(Responses, ACompleteResponseIsSentWhileItsCallContinues) {
  Rig rig;
  rig.app.views["/closes"] = [&](Exchange& e) {
    FakeApplication::answer(e, "hello");
    EXPECT_EQ(e.deliver(), Sent::ok);
    rig.app.sleep(5s);
  };
  ScriptedClient client = rig.get("/closes");
  rig.sys.after(100ms, [&] { EXPECT_TRUE(has(client.received(), "hello")); });
  rig.sys.after(6s, [&] { client.send(Rig<>::request("/")); });
  rig.stop_after(7s);
  rig.run();
  EXPECT_EQ(count(client.received(), "HTTP/1.1 200 OK"), 2U);
}

TEST(Responses, TheLeaderSendsFiles) {
  Rig rig;
  std::string content;
  for (int n = 0; content.size() < 200000; ++n) content += std::to_string(n) + ' ';
  rig.app.views["/file"] = [&](Exchange& e) {
    core::ResponseHead head;
    head.status = "200 OK";
    head.content_bytes = content.size() - 10;
    e.respond(head);
    e.body_file(driver::UniqueFd(rig.sys.open_file(content)), 10, content.size() - 10);
    e.finish();
  };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(5000);
  slow.send(Rig<>::request("/file"));
  for (int n = 0; n < 100; ++n) rig.sys.after(100ms + n * 10ms, [&] { slow.read(5000); });
  rig.stop_after(10s);
  const std::size_t before = rig.sys.open_descriptors();
  rig.run();
  EXPECT_TRUE(has(slow.received(), content.substr(10)));
  EXPECT_LE(rig.sys.open_descriptors(),
            before + 3);  // the worker's poller and pipes are closed with it
}

TEST(Responses, AClientThatReadsNothingIsDisconnected) {
  Config config;
  config.limits.rate_bytes_min = 0;
  Rig rig(config);
  const std::string big(300000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient stuck = rig.connect();
  stuck.read_by_hand(1000);
  stuck.send(Rig<>::request("/big"));
  rig.sys.after(29s, [&] { EXPECT_FALSE(stuck.closed_by_server()); });
  rig.sys.after(31s, [&] { EXPECT_TRUE(stuck.closed_by_server()); });
  rig.stop_after(32s);
  rig.run();
}

TEST(Responses, AClientThatReadsSteadilyIsServedWhileTheSocketIsFull) {
  Config config;
  config.limits.rate_bytes_min = 0;
  Rig rig(config);
  const std::string big(300'000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient steady = rig.connect();
  steady.read_by_hand(200'000);
  steady.take_in_steps(100'000);
  steady.send(Rig<>::request("/big"));
  for (int n = 1; n <= 80; ++n) rig.sys.after(n * 1s, [&] { steady.read(1000); });
  rig.sys.after(109s, [&] { EXPECT_FALSE(steady.closed_by_server()); });
  rig.sys.after(119s, [&] { EXPECT_TRUE(steady.closed_by_server()); });
  rig.stop_after(120s);
  rig.run();
}

TEST(Responses, AClientThatReadsInLargeStepsIsServedWhileItsAverageRateSuffices) {
  Rig rig;  // 500 bytes per second; 30 s
  const std::string big(300'000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient proxy = rig.connect();
  ScriptedClient stuck = rig.connect();
  for (ScriptedClient* const one : {&proxy, &stuck}) {
    one->read_by_hand(50'000);
    one->send(Rig<>::request("/big"));
    rig.sys.after(1s, [one] { one->read(50'000); });
  }
  for (int n = 1; n <= 6; ++n) rig.sys.after(1s + n * 60s, [&] { proxy.read(50'000); });
  rig.sys.after(60s, [&] { EXPECT_FALSE(stuck.closed_by_server()); });
  rig.sys.after(120s, [&] { EXPECT_TRUE(stuck.closed_by_server()) << "three times 30 s"; });
  rig.sys.after(362s, [&] { EXPECT_EQ(count(proxy.received(), "#"), big.size()); });
  rig.stop_after(370s);
  rig.run();
}

TEST(Responses, SendingCountsAsProgressWhereTheKernelDoesNotReportUnackedBytes) {
  Config config;
  config.limits.rate_bytes_min = 0;
  Rig rig(config);
  rig.sys.fail_always("unacked_bytes", ENOTSUP);
  const std::string big(300'000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(1000);
  slow.send(Rig<>::request("/big"));
  for (int n = 1; n <= 60; ++n) rig.sys.after(n * 1s, [&] { slow.read(1000); });
  rig.sys.after(89s, [&] { EXPECT_FALSE(slow.closed_by_server()); });
  rig.sys.after(92s, [&] { EXPECT_TRUE(slow.closed_by_server()); });
  rig.stop_after(95s);
  rig.run();
}

TEST(Responses, OneBlockStaysWithinTheMemoryLimit) {
  Config config;
  config.answer_memory_bytes = 100'000;
  config.spool_bytes_max = 1 << 20;
  Rig rig(config);
  const std::string huge(5'000'000, '#');
  rig.app.views["/huge"] = [&](Exchange& e) { FakeApplication::answer(e, huge); };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(50'000);
  slow.send(Rig<>::request("/huge"));
  const driver::StorageBudget& budget = rig.worker->intake().budget();
  const std::uint64_t memory = budget.response_memory.left();
  rig.sys.after(1s, [&] {
    EXPECT_EQ(rig.app.running.size(), 1U) << "it waits";
    EXPECT_LE(memory - budget.response_memory.left(), config.answer_memory_bytes);
    EXPECT_GT(budget.spool.left(), config.spool_bytes_max / 4) << "requests have their part";
  });
  for (int n = 0; n < 200; ++n) rig.sys.after(2s + n * 10ms, [&] { slow.read(50'000); });
  rig.stop_after(20s);
  rig.run();
  EXPECT_EQ(count(slow.received(), "#"), huge.size());
  EXPECT_EQ(budget.spool.left(), config.spool_bytes_max);
  EXPECT_EQ(budget.response_memory.left(), memory);
  EXPECT_EQ(budget.descriptors.used(), 0U);
}

TEST(Responses, ContinueWithoutRoomInMemoryAndFiles) {
  Config config;
  config.answer_memory_bytes = 0;
  config.spool_bytes_max = 0;
  Rig rig(config);
  const std::string big(200'000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(1000);
  slow.send(Rig<>::request("/big"));
  for (int n = 0; n < 300; ++n) rig.sys.after(1s + n * 10ms, [&] { slow.read(1000); });
  rig.stop_after(10s);
  rig.run();
  EXPECT_EQ(count(slow.received(), "#"), big.size());
}

TEST(PipelinedRequests, WaitUntilEarlierResponsesAreSent) {
  Config config;
  config.answer_memory_bytes = 10'000;
  config.spool_bytes_max = 1 << 20;
  Rig rig(config);
  const std::string big(100'000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(1000);
  for (int n = 0; n < 8; ++n) {
    rig.sys.after(n * 10ms, [&] { slow.send(Rig<>::request("/big")); });
  }
  rig.sys.after(1s, [&] {
    EXPECT_EQ(rig.app.calls.size(), 1U);
    EXPECT_TRUE(rig.app.running.empty());
  });
  for (int n = 0; n < 900; ++n) rig.sys.after(2s + n * 10ms, [&] { slow.read(1000); });
  rig.stop_after(30s);
  rig.run();
  EXPECT_EQ(count(slow.received(), "#"), 8 * big.size());
  EXPECT_EQ(rig.worker->intake().budget().spool.left(), config.spool_bytes_max);
}

TEST(PipelinedRequests, OfOneReceiveAreCalledWhileResponsesAreSent) {
  Config config;
  config.limits.keep_alive_requests = 0;
  Rig rig(config);
  const std::string page(5'000, '#');
  rig.app.views["/page"] = [&](Exchange& e) { FakeApplication::answer(e, page); };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(1000);
  std::string all;
  for (int n = 0; n < 500; ++n) all += Rig<>::request("/page");
  slow.send(all);
  rig.sys.after(1s, [&] { EXPECT_LT(rig.app.calls.size(), 30U); });
  for (int n = 0; n < 3000; ++n) rig.sys.after(2s + n * 1ms, [&] { slow.read(1000); });
  rig.stop_after(10s);
  rig.run();
  EXPECT_EQ(count(slow.received(), "#"), 500 * page.size());
}

TEST(PipelinedRequests, OfAResetConnectionAreNotCalled) {
  Rig rig;
  const std::string big(100'000, '#');
  rig.app.views["/big"] = [&](Exchange& e) { FakeApplication::answer(e, big); };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(1000);
  slow.send(Rig<>::request("/big") + Rig<>::request("/big"));
  rig.sys.after(1s, [&] { slow.reset(); });
  rig.sys.after(1100ms, [&] { EXPECT_EQ(rig.worker->status().connections, 0U); });
  rig.stop_after(2s);
  rig.run();
  EXPECT_EQ(rig.app.calls.size(), 1U);
}

TEST(Responses, AnApplicationThatFillsTheOutboxWaitsForTheClient) {
  Config config;
  config.answer_memory_bytes = 10000;
  config.spool_bytes_max = 20000;
  Rig rig(config);
  std::size_t given = 0;
  rig.app.views["/endless"] = [&](Exchange& e) {
    core::ResponseHead head;
    head.status = "200 OK";
    e.respond(head);
    const std::string block(5000, '#');
    for (int n = 0; n < 100; ++n) {
      e.body(std::as_bytes(std::span(block)));
      if (e.deliver() == Sent::gone) return e.abort();
      given += block.size();
    }
    e.finish();
  };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(1000);
  slow.send(Rig<>::request("/endless"));
  ScriptedClient bad;
  rig.sys.after(1s, [&] {
    EXPECT_LT(given, 60000U);
    bad = rig.connect();
    bad.send("nonsense\r\n\r\n");
  });
  rig.sys.after(1005ms, [&] { EXPECT_TRUE(has(bad.received(), " 400 ")); });
  for (int n = 0; n < 600; ++n) rig.sys.after(2s + n * 10ms, [&] { slow.read(1000); });
  rig.stop_after(20s);
  rig.run();
  EXPECT_EQ(given, 500000U);
  EXPECT_EQ(count(slow.received(), "#"), 500000U);
}

TEST(Output, NothingIsSentAfterLostBytes) {
  Rig rig;
  rig.app.views["/file"] = [&](Exchange& e) {
    core::ResponseHead head;
    head.status = "200 OK";
    head.content_bytes = 4;
    e.respond(head);
    e.body_file(driver::UniqueFd(rig.sys.open_file("####")), 0, 4);
    e.finish();
  };
  ScriptedClient client = rig.get("/file");
  rig.sys.fail("send_gathered", 1, ENOBUFS);
  rig.stop_after(1s);
  rig.run();
  EXPECT_EQ(client.received(), "");
  EXPECT_TRUE(client.closed_by_server());
}

TEST(Output, ReachesAHalfClosedClientWhoseBodyIsNotRead) {
  Config config;
  config.limits.body_bytes_max = 10;
  Rig rig(config);
  rig.slow_view(100ms);  // its EOF is noticed meanwhile, before the rest of the body
  ScriptedClient client = rig.connect();
  client.read_by_hand(1000);
  client.send(Rig<>::request("/slow") +
              "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" +
              std::string(100'000, 'b'));
  client.half_close();
  rig.sys.after(1s, [&] { client.read(1000); });
  rig.stop_after(2s);
  rig.run();
  EXPECT_TRUE(has(client.received(), "HTTP/1.1 413"));
  EXPECT_FALSE(client.was_reset());
}

TEST(Output, ASocketThatCannotBeWatchedIsClosedImmediately) {
  for (const std::uint64_t nth : {1U, 2U}) {
    Rig rig;
    rig.app.views["/big"] = [](Exchange& e) { FakeApplication::answer(e, std::string(3000, '#')); };
    ScriptedClient client;
    rig.sys.after(1ms, [&] {
      client = rig.connect();
      client.read_by_hand(1000);  // the first call watches for input, the second for room
      client.send(Rig<>::request("/big"));
      rig.sys.fail("epoll_ctl", nth, ENOMEM);
    });
    rig.sys.after(1s, [&] { EXPECT_TRUE(client.closed_by_server()) << nth; });
    rig.stop_after(2s);
    rig.run();
    EXPECT_TRUE(client.was_reset() || client.received().empty()) << nth;
    EXPECT_EQ(rig.sys.closed_while_watched(), 0U);
  }
}

TEST(Output, WaitsRepeatedlyForASlowClientWithinOneResponse) {
  Rig rig;
  rig.app.views["/news"] = [&](Exchange& e) {
    core::ResponseHead head;
    head.status = "200 OK";
    e.respond(head);
    for (const char name : {'#', '$', '%'}) {
      const std::string block(3000, name);
      e.body(std::as_bytes(std::span(block)));
      e.deliver();
      rig.app.sleep(1s);
    }
    e.finish();
  };
  ScriptedClient slow = rig.connect();
  slow.read_by_hand(1000);
  slow.send(Rig<>::request("/news"));
  for (int n = 1; n < 3000; ++n) rig.sys.after(n * 1ms, [&] { slow.read(100); });
  for (int n = 0; n < 3; ++n) {
    rig.sys.after(n * 1s + 500ms,
                  [&, n] { EXPECT_EQ(count(slow.received(), std::string(1, "#$%"[n])), 3000U); });
  }
  rig.stop_after(4s);
  rig.run();
}

// ---- admission

TEST(Admission, AFullQueueIs503) {
  Config config;
  config.queued_max = 2;
  Rig rig(config);
  rig.slow_view(5s);
  ScriptedClient slow = rig.get("/slow");
  std::vector<ScriptedClient> others(4);
  rig.sys.after(100ms, [&] {
    for (ScriptedClient& other : others) other = rig.get("/");
  });
  rig.sys.after(110ms, [&] {
    EXPECT_EQ(std::count_if(others.begin(), others.end(),
                            [](const auto& c) { return has(c.received(), "HTTP/1.1 503"); }),
              2);
  });
  rig.stop_after(6s);
  rig.run();
  EXPECT_EQ(std::count_if(others.begin(), others.end(),
                          [](const auto& c) { return has(c.received(), "hello"); }),
            2);
}

TEST(Admission, ARequestThatWaitedLongerThanTheQueueTimeoutGets503) {
  Config config;
  config.queue_timeout = 2s;
  Rig rig(config);
  rig.slow_view(5s);
  ScriptedClient slow = rig.get("/slow");
  ScriptedClient other;
  rig.sys.after(100ms, [&] { other = rig.get("/"); });
  rig.sys.after(2050ms, [&] { EXPECT_EQ(other.received(), ""); });
  rig.sys.after(2200ms, [&] { EXPECT_TRUE(has(other.received(), "HTTP/1.1 503")); });
  rig.stop_after(6s);
  rig.run();
}

TEST(Admission, ARequestWhoseClientDisconnectedIsNotCalled) {
  Rig rig;
  rig.slow_view(5s);
  ScriptedClient slow = rig.get("/slow");
  ScriptedClient other;
  rig.sys.after(100ms, [&] { other = rig.get("/"); });
  rig.sys.after(200ms, [&] { other.reset(); });
  rig.stop_after(6s);
  rig.run();
  EXPECT_EQ(rig.app.calls.size(), 1U);
}

TEST(Admission, ARequestFollowedByAFinIsDroppedAfterWaitingForASecond) {
  for (const core::Duration call : {core::Duration{500ms}, core::Duration{5s}}) {
    Rig rig;
    rig.slow_view(call);
    ScriptedClient slow = rig.get("/slow");
    ScriptedClient other;
    rig.sys.after(100ms, [&] {
      other = rig.get("/");
      other.half_close();
    });
    rig.stop_after(6s);
    rig.run();
    EXPECT_EQ(rig.app.calls.size(), call > 1s ? 1U : 2U);
  }
}

TEST(Admission, AcceptsAgainWhenDescriptorsAreAvailable) {
  Rig rig;
  ScriptedClient first = rig.get("/");
  ScriptedClient second;
  rig.sys.after(10ms, [&] {
    rig.sys.fail_always("accept", EMFILE);
    second = rig.get("/");
  });
  std::uint64_t tries = 0;
  rig.sys.after(20ms, [&] { tries = rig.sys.calls("accept"); });
  rig.sys.after(1s, [&] {
    EXPECT_LT(rig.sys.calls("accept") - tries, 20U);
    EXPECT_EQ(second.received(), "");
    rig.sys.heal();
  });
  rig.sys.after(1200ms, [&] { EXPECT_TRUE(has(second.received(), "hello")); });
  rig.stop_after(2s);
  rig.run();
}

TEST(Admission, TheLongestIdleConnectionIsClosedForANewClient) {
  Config config;
  config.connections_max = 2;
  Rig rig(config);
  ScriptedClient first = rig.get("/");
  ScriptedClient second;
  ScriptedClient third;
  rig.sys.after(1s, [&] { second = rig.get("/"); });
  rig.sys.after(2s, [&] { third = rig.get("/"); });
  rig.sys.after(2100ms, [&] {
    EXPECT_TRUE(has(third.received(), "hello"));
    EXPECT_TRUE(first.closed_by_server());
    EXPECT_FALSE(second.closed_by_server());
  });
  rig.stop_after(3s);
  rig.run();
}

TEST(Admission, TheLongestIdleConnectionIsClosedRegardlessOfTheOrderOfRequests) {
  Config config = with_threads(2);
  config.connections_max = 4;
  Rig rig(config);
  rig.slow_view(3s);
  std::vector<ScriptedClient> clients(4);
  for (ScriptedClient& client : clients) client = rig.connect();
  rig.sys.after(1s, [&] { clients[0].send(Rig<>::request("/slow")); });  // idle for 4 s
  rig.sys.after(2s, [&] { clients[2].send(Rig<>::request("/")); });
  rig.sys.after(3s, [&] { clients[1].send(Rig<>::request("/")); });
  std::vector<ScriptedClient> more(4);
  std::vector<std::size_t> order;
  for (std::size_t n = 0; n < more.size(); ++n) {
    rig.sys.after(5s + n * 100ms, [&, n] { more[n] = rig.get("/"); });
    rig.sys.after(5050ms + n * 100ms, [&] {
      for (std::size_t c = 0; c < clients.size(); ++c) {
        const bool seen = std::find(order.begin(), order.end(), c) != order.end();
        if (!seen && clients[c].closed_by_server()) order.push_back(c);
      }
    });
  }
  rig.stop_after(6s);
  rig.run();
  EXPECT_EQ(order, (std::vector<std::size_t>{3, 2, 1, 0}));
  for (const ScriptedClient& client : more) EXPECT_TRUE(has(client.received(), "hello"));
}

TEST(Admission, AnIdleConnectionIsNotClosedWhenItsRequestHasArrived) {
  Config config;
  config.connections_max = 2;
  Rig rig(config);
  ScriptedClient first = rig.get("/");
  ScriptedClient second;
  ScriptedClient third;
  rig.sys.after(1s, [&] { second = rig.get("/"); });
  rig.sys.after(2s, [&] {
    third = rig.get("/");
    first.send(Rig<>::request("/"));
  });
  rig.sys.after(2100ms, [&] {
    EXPECT_EQ(count(first.received(), "hello"), 2U);
    EXPECT_TRUE(has(third.received(), "hello"));
    EXPECT_TRUE(second.closed_by_server());
  });
  rig.stop_after(3s);
  rig.run();
}

TEST(Admission, AtTheLimitAnAcceptChecksOnlyOneIdleConnection) {
  Config config;
  config.connections_max = 500;
  Rig rig(config);
  std::vector<ScriptedClient> clients(500);
  for (ScriptedClient& client : clients) client = rig.connect();
  std::vector<ScriptedClient> more(100);
  std::uint64_t recvs = 0;
  for (std::size_t n = 0; n < more.size(); ++n) {
    rig.sys.after(1s + n * 10ms, [&, n] {
      if (n == 0) recvs = rig.sys.calls("recv");
      more[n] = rig.connect();
    });
  }
  rig.sys.after(3s, [&] { EXPECT_LE(rig.sys.calls("recv") - recvs, 2 * more.size()); });
  rig.stop_after(4s);
  rig.run();
  EXPECT_EQ(std::count_if(clients.begin(), clients.end(),
                          [](const ScriptedClient& c) { return c.ended_at() < core::Instant{1h}; }),
            500);
}

TEST(Admission, AConnectionIsFreedAfterIts408) {
  Config config;
  config.connections_max = 2;
  config.limits.receive_timeout = 1s;
  Rig rig(config);
  std::vector<ScriptedClient> slow(2);
  for (ScriptedClient& client : slow) {
    client = rig.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n");
  }
  ScriptedClient honest;
  rig.sys.after(500ms, [&] { honest = rig.get("/"); });
  rig.sys.after(1020ms, [&] {
    for (const ScriptedClient& client : slow) EXPECT_TRUE(has(client.received(), "408"));
    EXPECT_TRUE(has(honest.received(), "hello"));
  });
  rig.stop_after(2s);
  rig.run();
  EXPECT_EQ(std::count_if(rig.log.server_lines.begin(), rig.log.server_lines.end(),
                          [](const std::string& line) { return has(line, "--max-connections 2"); }),
            1);
}

TEST(Admission, AWaitingClientIsAcceptedWhenAConnectionBecomesIdle) {
  Config config = with_threads(2);
  config.connections_max = 1;
  Rig rig(config);
  rig.slow_view(300ms);
  ScriptedClient first = rig.get("/slow");
  ScriptedClient second;
  rig.sys.after(100ms, [&] { second = rig.get("/"); });
  rig.sys.after(320ms, [&] {
    EXPECT_TRUE(has(first.received(), "slow"));
    EXPECT_TRUE(has(second.received(), "hello"));
  });
  rig.stop_after(2s);
  rig.run();
}

TEST(Admission, TheReachedLimitIsLoggedOnceWithItsCause) {
  Config config;
  config.connections_max = 64;
  Rig rig(config);
  std::vector<ScriptedClient> clients(200);
  for (std::size_t n = 0; n < clients.size(); ++n) {
    rig.sys.after(100ms + n * 10ms, [&, n] { clients[n] = rig.connect(); });
  }
  rig.stop_after(4s);
  rig.run();
  ASSERT_EQ(rig.log.server_lines.size(), 1U);
  EXPECT_TRUE(has(rig.log.server_lines[0], "All 64 connections are in use"));
  EXPECT_TRUE(has(rig.log.server_lines[0], "--max-connections 64"));
  EXPECT_TRUE(has(rig.log.server_lines[0], "idle longest"));
}

TEST(Admission, TheLeaderDoesNotSpinOnAFailingListener) {
  for (const int error : {EINVAL, EMFILE}) {
    Rig rig;
    ScriptedClient waiting;
    rig.sys.after(10ms, [&] {
      rig.sys.reset_calls();
      rig.sys.fail_always("accept", error);
      waiting = rig.connect();
    });
    rig.sys.after(5s, [&] {
      EXPECT_LT(rig.sys.calls("accept"), 600U);
      EXPECT_LT(rig.sys.calls("epoll_wait"), 1500U);
      rig.sys.heal();
    });
    rig.stop_after(7s);
    rig.run();
    ASSERT_EQ(rig.log.server_lines.size(), 1U);
    EXPECT_TRUE(has(rig.log.server_lines[0], "Cannot accept connections"));
  }
}

TEST(Output, TheLeaderDoesNotSpinOnAHalfClosedClientBeforeAReset) {
  for (const bool half : {false, true}) {
    Rig rig;
    rig.app.views["/breaks"] = [](driver::Exchange& e) {
      core::ResponseHead head;
      head.status = "200 OK";
      e.respond(head);
      (void)e.body(std::as_bytes(std::span(std::string_view("half of it"))));
      (void)e.deliver();
      e.abort();
    };
    ScriptedClient client = rig.connect();
    rig.sys.after(10ms, [&] {
      client.set_unacked(1000);
      client.send("GET /breaks HTTP/1.0\r\n\r\n");
      if (half) client.half_close();
      rig.sys.reset_calls();
    });
    rig.sys.after(500ms, [&] {
      EXPECT_FALSE(client.closed_by_server());
      EXPECT_LT(rig.sys.calls("epoll_wait"), 400U);
      client.set_unacked(0);
    });
    rig.sys.after(520ms, [&] { EXPECT_TRUE(client.was_reset()); });
    rig.stop_after(2s);
    rig.run();
  }
}

TEST(Warnings, OfManyRejectionsTenAreLoggedAndTheRestCounted) {
  Rig rig;
  std::vector<ScriptedClient> clients(30);
  rig.sys.after(100ms, [&] {
    for (ScriptedClient& client : clients) {
      client = rig.connect();
      client.send("nonsense\r\n\r\n");
    }
  });
  rig.sys.after(500ms, [&] { EXPECT_EQ(rig.log.server_lines.size(), 10U); });
  rig.sys.after(1500ms, [&] {
    ASSERT_EQ(rig.log.server_lines.size(), 11U);
    EXPECT_TRUE(has(rig.log.server_lines.back(), "20"));
  });
  rig.stop_after(2s);
  rig.run();
}

// ---- stopping and signals

TEST(Signals, ReceivedDuringACallAreHandledWhenTheThreadLeads) {
  Rig rig;
  rig.slow_view(1s);
  ScriptedClient client = rig.get("/slow");
  rig.sys.after(500ms, [&] {
    static constexpr std::array kNumber{std::byte{10}};
    (void)rig.sys.write(rig.worker->wakeup_fd(), kNumber);
  });
  rig.sys.after(1100ms, [&] { EXPECT_EQ(rig.app.signal_runs.size(), 1U); });
  rig.stop_after(2s);
  rig.run();
}

TEST(Stopping, RunningRequestsAreServedAndIdleConnectionsClose) {
  Rig rig;
  rig.slow_view(5s);
  ScriptedClient idle = rig.get("/");
  ScriptedClient slow;
  rig.sys.after(1s, [&] { slow = rig.get("/slow"); });
  rig.stop_after(2s);
  rig.sys.after(2100ms, [&] { EXPECT_TRUE(idle.closed_by_server()); });
  rig.run();
  EXPECT_TRUE(has(slow.received(), "slow"));
  EXPECT_TRUE(has(slow.received(), "Connection: close"));
  EXPECT_TRUE(rig.app.ended_with.empty());
  EXPECT_GE(rig.sys.now(), support::ScriptedSys(1).now() + 6s);
}

TEST(Stopping, AConnectionWhoseHeadWasSentBeforeClosesAfterItsResponse) {
  Rig rig;
  rig.app.views["/streams"] = [&](Exchange& e) {
    core::ResponseHead head;
    head.status = "200 OK";
    e.respond(head);
    e.body(std::as_bytes(std::span("block", 5)));
    (void)e.deliver();
    rig.app.sleep(1s);
    e.finish();
  };
  ScriptedClient client = rig.get("/streams");
  rig.stop_after(500ms);
  rig.sys.after(1010ms, [&] { EXPECT_TRUE(client.closed_by_server()); });
  rig.run();
  EXPECT_TRUE(has(client.received(), "\r\n0\r\n\r\n"));
}

TEST(Stopping, ADrainServesOneMoreRequestOnIdleConnections) {
  Rig rig;
  ScriptedClient idle = rig.get("/");
  rig.stop_after(1s, Stop::drain);
  rig.sys.after(2s, [&] { idle.send(Rig<>::request("/")); });
  rig.run();
  EXPECT_EQ(count(idle.received(), "hello"), 2U);
  EXPECT_EQ(count(idle.received(), "Connection: close"), 1U);
}

TEST(Stopping, DoesNotWaitForLingeringConnections) {
  Rig rig;
  ScriptedClient refused = rig.connect();
  refused.send("GET  / HTTP/1.1\r\n\r\n");
  rig.stop_after(100ms);
  rig.run();
  EXPECT_TRUE(has(refused.received(), "HTTP/1.1 400 "));
  EXPECT_LE(rig.sys.now(), support::ScriptedSys(1).now() + 1200ms);
}

TEST(Stopping, TheProcessExitsAfterTheGracefulTimeoutWhenACallHangs) {
  Config config;
  config.graceful_timeout = 3s;
  Rig rig(config);
  rig.app.views["/hung"] = [&](Exchange& e) {
    rig.app.sleep(60s);
    FakeApplication::answer(e, "hung");
  };
  ScriptedClient hung = rig.get("/hung");
  rig.stop_after(1s);
  rig.sys.after(3900ms, [&] { EXPECT_TRUE(rig.app.ended_with.empty()); });
  rig.sys.after(4100ms, [&] { EXPECT_EQ(rig.app.ended_with, std::vector{0}); });
  rig.run();
  EXPECT_TRUE(std::any_of(rig.log.server_lines.begin(), rig.log.server_lines.end(),
                          [](const auto& line) { return has(line, "GET /hung, 4 s"); }));
}

TEST(Stopping, OnATerminalTheWaitIsLogged) {
  for (const bool interactive : {true, false}) {
    Config config;
    config.interactive = interactive;
    Rig rig(config);
    rig.slow_view(2500ms);
    ScriptedClient slow = rig.get("/slow");
    rig.stop_after(1s);
    const std::vector<std::string> told = {
        "Waiting for 1 request (GET /slow, 1 s). Ctrl-C again stops now."};
    rig.sys.after(1100ms, [&] {
      EXPECT_EQ(rig.log.server_lines, interactive ? told : std::vector<std::string>{});
    });
    rig.run();
    EXPECT_TRUE(has(slow.received(), "slow"));
  }
}

TEST(Signals, HandlersRunInThreadZeroWhicheverThreadLeads) {
  Rig rig(with_threads(2));
  rig.slow_view(5s);
  const auto signal = [&] {
    const std::byte alarm{14};
    (void)rig.sys.write(rig.worker->wakeup_fd(), std::span(&alarm, 1));
  };
  rig.sys.after(1s, signal);  // thread 0 leads and waits
  rig.sys.after(1100ms, [&] { EXPECT_EQ(rig.app.signal_runs.size(), 1U); });
  ScriptedClient slow;
  ScriptedClient slow2;
  rig.sys.after(2s, [&] { slow = rig.get("/slow"); });
  rig.sys.after(2100ms, [&] { slow2 = rig.get("/slow"); });
  rig.sys.after(7050ms, signal);  // thread 0 has returned, the other one is in its call
  rig.sys.after(7090ms, [&] { EXPECT_EQ(rig.app.signal_runs.size(), 2U); });
  rig.stop_after(9s);
  rig.run();
  for (const std::size_t thread : rig.app.signal_runs) EXPECT_EQ(thread, 0U);
}

TEST(Signals, AHandlerThatRaisesStopsTheServer) {
  Rig rig;
  rig.app.signal_handler_raises = true;
  rig.sys.after(1s, [&] {
    const std::byte interrupt{2};
    (void)rig.sys.write(rig.worker->wakeup_fd(), std::span(&interrupt, 1));
  });
  rig.run();
}

}  // namespace
}  // namespace iotax
