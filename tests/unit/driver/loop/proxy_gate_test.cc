#include "driver/loop/proxy_gate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using support::kGet;
using support::LoopParts;
using support::ScriptedClient;

const std::string kLine = "PROXY TCP4 203.0.113.9 192.0.2.2 5555 80\r\n";
const std::string kLocal = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"s;

/// Listens on a proxy:// address too.
struct Proxied : LoopParts {
  explicit Proxied(driver::Config settings = {}, bool unix_socket = false)
      : LoopParts(std::move(settings)), proxied(sys.listen(unix_socket)) {
    acceptor.add_listener(proxied, unix_socket ? "unix:/run/app.sock" : "0.0.0.0:8000",
                          driver::ListenerOwner::server, driver::FirstBytes::proxy_header);
    if (!acceptor.listen()) std::abort();
  }
  /// A client whose connection has been accepted.
  ScriptedClient join() {
    ScriptedClient client = sys.connect(proxied);
    turn();
    return client;
  }
  [[nodiscard]] Session& session() {
    Session* found = nullptr;
    table.for_each(lead, [&](Session& s) { found = &s; });
    if (found == nullptr) std::abort();
    return *found;
  }
  [[nodiscard]] std::string warning() const {
    return log.server_lines.size() == 1 ? log.server_lines[0]
                                        : std::to_string(log.server_lines.size()) + " lines";
  }

  int proxied;
};

TEST(ProxyGate, GivesTheClientOfTheHeaderToTheRequest) {
  Proxied parts;
  ScriptedClient client = parts.join();
  client.send(kLine + std::string(kGet));
  parts.turn();
  ASSERT_EQ(parts.ready.size(), 1U);
  const driver::Peer& peer = parts.session().link.endpoints;
  EXPECT_EQ(driver::peer_text(peer), "203.0.113.9:5555");
  ASSERT_TRUE(peer.proxy);
  EXPECT_EQ(peer.proxy->header.destination, "192.0.2.2");
  EXPECT_EQ(peer.proxy->remote_port, std::to_string(client.port()));
  parts.respond(parts.session(), "hello");
  parts.requests.flush(parts.lead);
  EXPECT_TRUE(client.received().ends_with("hello"));
}

TEST(ProxyGate, ReadsTheHeaderByteByByte) {
  Proxied parts;
  ScriptedClient client = parts.join();
  for (const char c : kLine + std::string(kGet)) {
    EXPECT_TRUE(parts.ready.empty());
    client.send({&c, 1});
    parts.turn();
  }
  EXPECT_EQ(parts.ready.size(), 1U);
}

TEST(ProxyGate, OtherListenersAreUnaffected) {
  Proxied parts;
  ScriptedClient client = parts.sys.connect(parts.listener);
  parts.turn();
  client.send(kGet);
  parts.turn();
  EXPECT_EQ(parts.ready.size(), 1U);
  EXPECT_FALSE(parts.session().link.endpoints.proxy);
}

TEST(ProxyGate, RefusesAnUnlistedPeerBeforeItsHeader) {
  Proxied parts;
  parts.app.sends_proxy_header = false;
  ScriptedClient client = parts.join();
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_EQ(client.received(), "");
  EXPECT_EQ(parts.warning(), "127.0.0.1:" + std::to_string(client.port()) +
                                 " - PROXY protocol on proxy://0.0.0.0:8000: the peer is not one "
                                 "of --proxy-protocol-from");
}

TEST(ProxyGate, RefusesAConnectionWithoutAHeader) {
  Proxied parts;
  ScriptedClient client = parts.join();
  client.send("GET / HTTP/1.1\r\n\r\n");
  parts.turn();
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_EQ(client.received(), "");
  EXPECT_TRUE(parts.log.access_lines.empty());
  EXPECT_EQ(parts.warning(),
            "127.0.0.1:" + std::to_string(client.port()) +
                " - PROXY protocol on proxy://0.0.0.0:8000: the connection begins with \"GET / "
                "HT\"; let the proxy send it, or leave proxy:// out");
}

TEST(ProxyGate, EscapesTheFirstBytesInTheWarning) {
  Proxied parts({}, true);
  ScriptedClient client = parts.join();
  client.send("\x16\x03\n\"");
  parts.turn();
  EXPECT_EQ(parts.warning(),
            "unix - PROXY protocol on proxy://unix:/run/app.sock: the connection begins with "
            "\"\\x16\\x03\\x0a\\x22\"; let the proxy send it, or leave proxy:// out");
}

TEST(ProxyGate, RefusesABrokenHeader) {
  Proxied parts;
  ScriptedClient client = parts.join();
  client.send("PROXY TCP4 ::1 ::1 1 2\r\n");
  parts.turn();
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_TRUE(parts.warning().ends_with("not in its canonical form")) << parts.warning();
}

TEST(ProxyGate, RefusesALateHeaderAtOneDeadline) {
  for (const bool dribbles : {false, true}) {
    Proxied parts;
    ScriptedClient client = parts.join();
    for (int second = 0; second < 10; ++second) {
      EXPECT_FALSE(client.closed_by_server());
      if (dribbles) client.send(kLine.substr(static_cast<std::size_t>(second), 1));
      parts.pass(1s);
      parts.turn();
    }
    parts.pass(100ms);  // timers have ticks
    parts.turn();
    EXPECT_TRUE(client.closed_by_server());
    EXPECT_EQ(client.received(), "");
    EXPECT_TRUE(parts.warning().ends_with("(--receive-timeout)")) << parts.warning();
  }
}

TEST(ProxyGate, WaitsForeverWithoutATimeout) {
  driver::Config config;
  config.limits.receive_timeout = {};
  Proxied parts(config);
  ScriptedClient client = parts.join();
  parts.pass(1h);
  parts.turn();
  EXPECT_FALSE(client.closed_by_server());
}

TEST(ProxyGate, TheTimeForARequestBeginsAfterTheHeader) {
  driver::Config config;
  config.limits.keep_alive = 2s;
  Proxied parts(config);
  ScriptedClient client = parts.join();
  parts.pass(5s);
  client.send(kLine);
  parts.turn();
  parts.pass(1s);
  parts.turn();
  EXPECT_FALSE(client.ended());
  parts.pass(1100ms);
  parts.turn();
  EXPECT_TRUE(client.ended());
}

TEST(ProxyGate, AClosedConnectionWithoutAByteIsNotLogged) {
  Proxied parts;
  parts.join().close();
  parts.turn();
  EXPECT_TRUE(parts.table.empty());
  EXPECT_TRUE(parts.log.server_lines.empty());
}

TEST(ProxyGate, AResetWhileTheHeaderIsAwaitedIsNotLogged) {
  Proxied parts;
  parts.join().reset();
  parts.turn();
  EXPECT_TRUE(parts.table.empty());
  EXPECT_TRUE(parts.log.server_lines.empty());
}

TEST(ProxyGate, AnEndInsideTheHeaderIsLogged) {
  Proxied parts;
  ScriptedClient client = parts.join();
  client.send(kLine.substr(0, 12));
  client.close();
  parts.turn();
  parts.turn();
  EXPECT_TRUE(parts.table.empty());
  EXPECT_TRUE(parts.warning().ends_with("the connection ended inside the header"));
}

TEST(ProxyGate, ACheckOfTheProxyLeavesNoLine) {
  Proxied parts;
  ScriptedClient client = parts.join();
  client.send(kLocal);
  parts.turn();
  EXPECT_EQ(driver::peer_text(parts.session().link.endpoints),
            "127.0.0.1:" + std::to_string(client.port()));
  EXPECT_TRUE(parts.session().link.endpoints.proxy);
  client.close();
  parts.turn();
  parts.turn();
  EXPECT_TRUE(parts.table.empty());
  EXPECT_TRUE(parts.log.access_lines.empty());
  EXPECT_TRUE(parts.log.server_lines.empty());
}

TEST(ProxyGate, ASecondHeaderIsNotARequest) {
  Proxied parts;
  ScriptedClient client = parts.join();
  client.send(kLine + kLine + std::string(kGet));
  parts.turn();
  EXPECT_TRUE(parts.ready.empty());
  EXPECT_TRUE(client.received().starts_with("HTTP/1.1 400 ")) << client.received();
  EXPECT_NE(parts.warning().find("203.0.113.9:5555 - 400 second PROXY protocol header"),
            std::string::npos)
      << parts.warning();
}

TEST(ProxyGate, AHeaderOnAPlainListenerIsRejected) {
  for (const std::string& header : {kLine, "PROXY UNKNOWN\r\n"s, kLocal}) {
    Proxied parts;
    ScriptedClient client = parts.sys.connect(parts.listener);
    parts.turn();
    client.send(header + std::string(kGet));
    parts.turn();
    EXPECT_TRUE(client.received().starts_with("HTTP/1.1 400 ")) << client.received();
    EXPECT_NE(parts.warning().find(" - 400 PROXY protocol header on a listener without proxy://"),
              std::string::npos)
        << parts.warning();
  }
}

TEST(ProxyGate, AStopClosesConnectionsThatSendNothing) {
  Proxied parts;
  ScriptedClient silent = parts.join();
  ScriptedClient client = parts.join();
  client.send(kLine + std::string(kGet));
  parts.draining.stop(parts.lead, driver::Stop::prompt);
  EXPECT_TRUE(silent.closed_by_server());
  EXPECT_EQ(parts.ready.size(), 1U) << "what has arrived is served";
  EXPECT_TRUE(parts.log.server_lines.empty());
}

TEST(ProxyGate, AnotherWorkerDoesNotGetAConnectionWithoutItsHeader) {
  Proxied parts;
  const int fd = parts.sys.open_channel();
  parts.channel.open(fd);
  ScriptedClient client = parts.join();
  client.send(kLine);
  parts.turn();
  parts.handover.pause(parts.lead);
  parts.handover.transfer_idle(parts.lead);
  EXPECT_EQ(parts.sys.channel_of(fd).from_worker.size(), 1U) << "that all are transferred";
  EXPECT_TRUE(client.closed_by_server());
}

TEST(ProxyGate, WarnsAtMostTenTimesASecond) {
  Proxied parts;
  for (int n = 0; n < 15; ++n) {
    ScriptedClient client = parts.join();
    client.send("GET");
    parts.turn();
  }
  EXPECT_EQ(parts.log.server_lines.size(), 10U);
}

}  // namespace
}  // namespace iotax
