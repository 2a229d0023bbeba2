#include "driver/loop/acceptor.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using support::kGet;
using support::LoopParts;
using support::ScriptedClient;

/// Listens, with a limit of connections.
struct Listening : LoopParts {
  explicit Listening(std::size_t connections_max = 0) : LoopParts(with(connections_max)) {
    if (!acceptor.listen()) std::abort();
  }
  static driver::Config with(std::size_t connections_max) {
    driver::Config config;
    config.connections_max = connections_max;
    return config;
  }
  void tick() {
    base.clock.read();
    acceptor.tick(lead);
  }
  /// The number of server log lines that contain `text`.
  [[nodiscard]] std::size_t logged(std::string_view text) const {
    std::size_t found = 0;
    for (const std::string& line : log.server_lines) found += line.find(text) != std::string::npos;
    return found;
  }
};

TEST(Acceptor, AcceptsAllClientsInTheBacklog) {
  Listening parts;
  for (int n = 0; n < 3; ++n) parts.sys.connect(parts.listener);
  parts.turn();
  EXPECT_EQ(parts.table.size(), 3U);
}

TEST(Acceptor, AcceptsNothingWithoutApplicationThreads) {
  Listening parts;
  parts.acceptor.set_threads(parts.lead, 0);
  parts.sys.connect(parts.listener);
  EXPECT_EQ(parts.turn(), 0U);
  parts.acceptor.set_threads(parts.lead, 1);
  parts.turn();
  EXPECT_EQ(parts.table.size(), 1U);
}

TEST(Acceptor, PausesWhenDescriptorsRunOutAndLogsItOnce) {
  Listening parts;
  parts.sys.fail_always("accept", EMFILE);
  parts.sys.connect(parts.listener);
  parts.turn();
  EXPECT_EQ(parts.turn(), 0U);  // no busy loop
  EXPECT_EQ(parts.acceptor.due(), parts.base.clock.now() + 100ms);
  parts.pass(100ms);
  parts.tick();
  parts.turn();
  EXPECT_EQ(parts.logged("Cannot accept connections"), 1U);
  parts.sys.heal();
  parts.pass(100ms);
  parts.tick();
  parts.turn();
  EXPECT_EQ(parts.table.size(), 1U);
}

TEST(Acceptor, ContinuesAfterAClientThatDisconnectedInTheBacklog) {
  Listening parts;
  parts.sys.fail("accept", 1, ECONNABORTED);
  parts.sys.connect(parts.listener);
  parts.turn();
  EXPECT_EQ(parts.table.size(), 1U);
}

TEST(Acceptor, AtTheLimitClosesTheLongestIdleConnection) {
  Listening parts(2);
  ScriptedClient first = parts.sys.connect(parts.listener);
  parts.turn();
  parts.pass(1s);
  ScriptedClient second = parts.sys.connect(parts.listener);
  parts.turn();
  ScriptedClient third = parts.sys.connect(parts.listener);
  parts.turn();
  EXPECT_TRUE(first.closed_by_server());
  EXPECT_FALSE(second.closed_by_server());
  EXPECT_EQ(parts.table.size(), 2U);
  EXPECT_EQ(parts.logged("--max-connections 2"), 1U);
}

TEST(Acceptor, AtTheLimitServesARequestInsteadOfClosingItsConnection) {
  Listening parts(1);
  ScriptedClient first = parts.sys.connect(parts.listener);
  parts.turn();
  first.send(kGet);
  parts.sys.connect(parts.listener);
  parts.acceptor.on_ready(
      parts.lead, *[&] {
        static driver::Listener unused(-1, "", driver::ListenerOwner::server);
        return &unused;
      }());
  EXPECT_FALSE(first.closed_by_server());
  EXPECT_EQ(parts.ready.size(), 1U);
}

/// The only connection that is allowed has a request in progress, and a client waits.
struct Full : Listening {
  Full() : Listening(1), first(sys.connect(listener)) {
    turn();
    first.send(kGet);
    turn();
    sys.connect(listener);
    turn();
  }
  ScriptedClient first;
};

TEST(Acceptor, AtTheLimitWaitsWhileNoConnectionIsIdle) {
  Full parts;
  EXPECT_TRUE(parts.acceptor.wants_room());
  EXPECT_EQ(parts.table.size(), 1U);
  EXPECT_EQ(parts.logged("new clients wait"), 1U);
  parts.respond(*parts.ready.pop(), "ok");
  parts.requests.flush(parts.lead);
  parts.tick();
  EXPECT_FALSE(parts.acceptor.wants_room());
  parts.turn();
  EXPECT_TRUE(parts.first.closed_by_server());
  EXPECT_EQ(parts.table.size(), 1U);
}

TEST(Acceptor, ResumesAsSoonAsAConnectionCloses) {
  Full parts;
  parts.first.reset();
  parts.turn();
  parts.respond(*parts.ready.pop(), "lost");
  parts.requests.flush(parts.lead);
  parts.tick();
  parts.turn();
  EXPECT_EQ(parts.table.size(), 1U);
}

TEST(Acceptor, BodyFilesCountTowardsTheDescriptorLimit) {
  Listening parts;
  parts.intake.budget().descriptors.set_most(3);
  parts.intake.budget().descriptors.add();
  parts.intake.budget().descriptors.add();
  for (int n = 0; n < 3; ++n) {
    parts.sys.connect(parts.listener).send(kGet);
    parts.turn();
  }
  EXPECT_EQ(parts.table.size(), 1U);
  EXPECT_EQ(parts.logged("2 body files"), 1U);
  parts.intake.budget().descriptors.remove();
  parts.intake.budget().descriptors.remove();
}

TEST(Acceptor, AcceptsPendingClientsBeforeTheListenersClose) {
  Listening parts;
  ScriptedClient client = parts.sys.connect(parts.listener);
  parts.acceptor.accept_pending(parts.lead);
  parts.acceptor.stop(parts.lead);
  EXPECT_EQ(parts.table.size(), 1U);
  EXPECT_FALSE(parts.sys.is_open(parts.listener));
}

TEST(Acceptor, LeavesTheOptionsOfASocketThatAnotherProcessKeeps) {
  Listening parts;
  const int passed = parts.sys.listen();
  parts.acceptor.add_listener(passed, "127.0.0.1:8001", driver::ListenerOwner::other);
  ScriptedClient client = parts.sys.connect(passed);
  parts.acceptor.accept_pending(parts.lead);
  EXPECT_EQ(parts.table.size(), 1U);
  EXPECT_EQ(parts.sys.calls("drop_new_connections"), 1U);  // of the other listener
  EXPECT_EQ(parts.sys.calls("set_nodelay"), 1U);           // of the connection
}

TEST(Acceptor, AcceptsABoundedNumberOfPendingClientsWhereOthersArrive) {
  Listening parts;
  parts.sys.set_descriptors_max(5000);
  const int passed = parts.sys.listen();
  parts.acceptor.add_listener(passed, "127.0.0.1:8001", driver::ListenerOwner::other);
  std::vector<ScriptedClient> clients;
  for (int n = 0; n < 4097; ++n) clients.push_back(parts.sys.connect(passed));
  parts.acceptor.accept_pending(parts.lead);
  EXPECT_EQ(parts.table.size(), 4096U);
}

TEST(Acceptor, RetriesAListenerAfterAFailedAccept) {
  Listening parts;
  parts.sys.fail("accept", 1, EBADF);
  parts.sys.connect(parts.listener);
  parts.turn();
  EXPECT_EQ(parts.acceptor.due(), parts.base.clock.now() + 10ms);
  parts.pass(10ms);
  parts.tick();
  parts.turn();
  EXPECT_EQ(parts.table.size(), 1U);
}

}  // namespace
}  // namespace iotax
