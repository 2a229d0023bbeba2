// The responses of the admin listener to bytes of a client, without a socket.
#include "admin/application.h"

#include <gtest/gtest.h>

#include <string>

#include "driver/in_process.h"
#include "example.h"
#include "support/fake_application.h"

namespace iotax {
namespace {

using driver::WorkerState;
using support::ScriptedEnv;
using support::ScriptedSys;

class Client {
 public:
  explicit Client(const Board& board, bool shows_requests = true, bool unix_socket = false)
      : application_(board.scoreboard(), {{"1.2.3", "3.13.1"}, {"http://a:80"}, shows_requests},
                     [this] { return now; }),
        connection_(sys_, config_, application_, log_, peer(unix_socket)) {
    now = {Board::kNow, 2'000'060s, {}};
  }
  std::string send(const std::string& text) {
    connection_.receive(std::as_bytes(std::span(text)));
    return connection_.take_output();
  }
  std::string get(const std::string& path, const std::string& host = "127.0.0.1:9100") {
    return send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  }

  admin::Now now{};

 private:
  static driver::Peer peer(bool unix_socket) {
    driver::Peer peer{"192.0.2.1", "4000", "127.0.0.1", "9100"};
    peer.unix_socket = unix_socket;
    return peer;
  }

  ScriptedSys sys_;
  driver::Config config_;
  support::RecordingLog log_;
  admin::AdminApplication application_;
  driver::InProcess<ScriptedEnv> connection_;
};

std::string status(const std::string& response) { return response.substr(9, 3); }
std::string content(const std::string& response) {
  return response.substr(response.find("\r\n\r\n") + 4);
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(AdminApplication, LiveAndReadyHaveTheirReasons) {
  const Board board;
  Client client(board);
  EXPECT_EQ(content(client.get("/livez")), "live\n");
  std::string got = client.get("/readyz");
  EXPECT_EQ(status(got), "503");
  EXPECT_EQ(content(got), "not ready: starting\n");
  board.worker(0, WorkerState::ready);
  board.gauges(0).queued.set(5);
  got = client.get("/readyz");
  EXPECT_EQ(status(got), "200");
  EXPECT_EQ(content(got), "ready\n");
  EXPECT_TRUE(has(got, "Cache-Control: no-store\r\n"));
  EXPECT_EQ(content(client.get("/readyz?full")), "not ready: full\n");
  board.server().stamp.set(Board::since(20s));
  EXPECT_EQ(content(client.get("/livez")), "not live: the supervisor has not run for 20 s\n");
}

TEST(AdminApplication, AfterAFreezeOfItsOwnItWaits) {
  const Board board;
  Client client(board);
  client.now.monotonic = Board::kNow + 60s;
  EXPECT_EQ(status(client.get("/livez")), "503");
  client.now.left_out = 59s;
  EXPECT_EQ(status(client.get("/livez")), "200");
  client.now.monotonic += 11s;
  EXPECT_EQ(status(client.get("/livez")), "503");
}

TEST(AdminApplication, HeadHasNoContent) {
  const Board board;
  Client client(board);
  const std::string got = client.send("HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(has(got, "Content-Length: 5\r\n"));
  EXPECT_EQ(content(got), "");
}

TEST(AdminApplication, OtherMethodsAndPathsAreRefused) {
  const Board board;
  for (const std::string path : {"/", "/livez", "/readyz", "/metrics", "/status"}) {
    Client client(board);
    const std::string got = client.send("POST " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(status(got), "405");
    EXPECT_TRUE(has(got, "Allow: GET, HEAD\r\n"));
  }
  Client client(board);
  const std::string got = client.get("/livez/");
  EXPECT_EQ(status(got), "404");
  EXPECT_TRUE(has(content(got), "/metrics"));
}

TEST(AdminApplication, ABodyIsRefused) {
  const Board board;
  Client client(board);
  EXPECT_EQ(status(client.send("GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")),
            "413");
}

TEST(AdminApplication, PagesNeedAnAddressOrLocalhostAsHost) {
  const Board board;
  for (const std::string path : {"/", "/status"}) {
    for (const std::string host :
         {"localhost", "LOCALHOST:9100", "127.0.0.1", "10.0.0.1:9100", "[::1]", "[::1]:9100"}) {
      EXPECT_EQ(status(Client(board).get(path, host)), "200") << host;
    }
    for (const std::string host :
         {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:9100", "1.2.3"}) {
      EXPECT_EQ(status(Client(board).get(path, host)), "421") << host;
    }
    EXPECT_EQ(status(Client(board, true, true).get(path, "any.example")), "200");
    EXPECT_EQ(status(Client(board).send("GET " + path + " HTTP/1.0\r\n\r\n")), "200");
  }
  for (const std::string path : {"/livez", "/metrics"}) {
    EXPECT_EQ(status(Client(board).get(path, "metrics.example")), "200");
  }
}

TEST(AdminApplication, MetricsHaveTheTypeThatAcceptAsksFor) {
  const Board board;
  Client client(board);
  EXPECT_TRUE(has(client.get("/metrics"),
                  "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
  EXPECT_TRUE(has(client.send("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: text/plain\r\n\r\n"),
                  "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
}

TEST(AdminApplication, TheStatusIsJson) {
  const Board board;
  board.worker(1, WorkerState::ready);
  board.runs(1, 0, "GET /a\"<script>");
  const std::string got = Client(board).get("/status");
  EXPECT_TRUE(has(got, "Content-Type: application/json\r\n"));
  EXPECT_EQ(
      content(got),
      R"({"schema":1,"version":"1.2.3","pid":700,"uptime":60.000,"state":"ready","live":true,)"
      R"("ready":true,"listeners":["http://a:80"],"workers":[{"number":2,"pid":801,)"
      R"("state":"ready","accepts":true,"age":50.000,"threads_busy":1,"threads_idle":1,)"
      R"("threads_lost":0,"queued":0,"connections":0,"requests":0,"memory":0,"running":[)"
      R"({"line":"GET /a\\x22<script>","id":"abc-1","age":1.500}]}],"totals":{"requests":0,)"
      R"("rejected":0,"connections_accepted":0,"received_bytes":0,"sent_bytes":0,)"
      R"("worker_starts":0}})"
      "\n");
}

TEST(AdminApplication, ThePageShowsTextAsText) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.runs(0, 0, "GET /<script>alert(1)</script>");
  const std::string got = Client(board).get("/");
  EXPECT_TRUE(has(got, "Content-Security-Policy: default-src 'none'; "));
  EXPECT_TRUE(has(got, "GET /&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_FALSE(has(got, "<script>alert"));
}

TEST(AdminApplication, OthersDoNotSeeWhatClientsRequest) {
  const Board board;
  board.worker(0, WorkerState::ready);
  board.runs(0, 0, "GET /secret");
  for (const std::string path : {"/", "/status", "/metrics"}) {
    const std::string got = Client(board, false).get(path);
    EXPECT_FALSE(has(got, "secret"));
    EXPECT_FALSE(has(got, "abc-1"));
  }
  EXPECT_TRUE(has(Client(board, false).get("/status"), R"("running":[{"age":1.500}])"));
}

}  // namespace
}  // namespace iotax
