// The access log line of a request, for every way in which it can end; which client and id the
// logs name; and that no byte of a client forges a line.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "driver/worker.h"
#include "support/watched_rig.h"
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
using support::ScriptedClient;
using support::WatchedRig;

constexpr std::string_view kPost = "POST /in?q HTTP/1.1\r\nHost: a\r\n";
/// Client, request line, status with its phrase, size, time, id.
const std::regex kLine{
    R"re((unix|[0-9a-f.:\[\]]+) - "(-|[!#-'*+.0-9A-Z^_`a-z|~-]+( ([^ "\\]|\\x[0-9a-f]{2})*( HTTP/[0-9]\.[0-9])?)?)" (-|[1-5][0-9]{2}( [A-Z][A-Za-z '-]*)?) [0-9]+B [0-9]+\.[0-9]ms [A-Za-z0-9._-]{1,128})re"};

std::string post(std::string_view fields, std::string_view content = {}) {
  std::string text(kPost);
  return text.append(fields).append("\r\n").append(content);
}

std::string_view id_of(std::string_view line) { return line.substr(line.rfind(' ') + 1); }

/// One connection, and its lines in the access log.
struct End {
  std::string name;
  std::string sends;
  std::vector<std::string> lines;  // a part of each line, from the request line on
  std::function<void(Config&)> settings = [](Config&) {};
  std::function<void(WatchedRig<>&, ScriptedClient&)> script = [](WatchedRig<>&, ScriptedClient&) {
  };
};

void busy(WatchedRig<>& rig) { rig.get("/slow").half_close(); }

std::function<void(WatchedRig<>&, ScriptedClient&)> after(core::Duration delay,
                                                          void (*what)(WatchedRig<>&,
                                                                       ScriptedClient&)) {
  return [delay, what](WatchedRig<>& rig, ScriptedClient& client) {
    rig.sys.after(delay, [&rig, &client, what] { what(rig, client); });
  };
}

constexpr auto kResets = [](WatchedRig<>&, ScriptedClient& client) { client.reset(); };
constexpr auto kHalfCloses = [](WatchedRig<>&, ScriptedClient& client) { client.half_close(); };
constexpr auto kStopsNow = [](WatchedRig<>& rig, ScriptedClient&) { rig.worker->stop(Stop::now); };

void streaming(Config& config) { config.request_buffering = false; }

std::vector<End> ends() {
  const std::string get = WatchedRig<>::request("/");
  return {
      {"answered", get, {R"("GET / HTTP/1.1" 200 OK 5B)"}},
      {"pipelined", get + get, {R"("GET / HTTP/1.1" 200 OK)", R"("GET / HTTP/1.1" 200 OK)"}},
      {"fails", WatchedRig<>::request("/fails"), {R"("GET /fails HTTP/1.1" 500 Internal)"}},
      {"breaks", WatchedRig<>::request("/breaks"), {R"("GET /breaks HTTP/1.1" 200 OK)"}},
      {"OPTIONS *",
       "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
       {R"("OPTIONS * HTTP/1.1" 204 No Content 0B)"}},
      // rejected heads
      {"TLS", "\x16\x03\x01", {R"("-" 400 Bad Request)"}},
      {"line ends", "\r\n\r\n", {R"("-" 400 Bad Request)"}},
      {"line feed", "\n", {R"("-" 400 Bad Request)"}},
      {"no token", "G@T / HTTP/1.1\r\n", {R"("-" 400 Bad Request)"}},
      {"no Host", "GET /x?y HTTP/1.1\r\n\r\n", {R"("GET /x?y HTTP/1.1" 400 Bad Request)"}},
      {"control", "GET /a\x01z HTTP/1.1\r\n\r\n", {R"("GET /a" 400 Bad Request)"}},
      {"no version", "GET /a\r\n\r\n", {R"("GET /a" 400 Bad Request)"}},
      {"CONNECT", "CONNECT a:1 HTTP/1.1\r\n\r\n", {R"("CONNECT a:1 HTTP/1.1" 405 Method)"}},
      {"413", post("Content-Length: 9999999\r\n"), {R"("POST /in?q HTTP/1.1" 413 Content)"}},
      {"414", "GET /" + std::string(9000, 'a'), {"\"GET /" + std::string(255, 'a') + "\" 414 URI"}},
      {"417", post("Expect: magic\r\n"), {R"("POST /in?q HTTP/1.1" 417 Expectation)"}},
      {"421",
       "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
       {R"("GET https://a/ HTTP/1.1" 421 Misdirected)"}},
      {"431", post("A: " + std::string(17000, 'a')), {R"("POST /in?q HTTP/1.1" 431 Request)"}},
      {"501", "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", {R"("BREW /pot HTTP/1.1" 501 Not)"}},
      {"501 coding", post("Transfer-Encoding: gzip\r\n"), {R"("POST /in?q HTTP/1.1" 501 Not)"}},
      {"505", "GET / HTTP/2.0\r\n\r\n", {R"("GET / HTTP/2.0" 505 HTTP)"}},
      {"EOF in head",
       "GET /half HTTP/1.1\r\nHo",
       {R"("GET /half HTTP/1.1" 400 Bad)"},
       {},
       after(10ms, kHalfCloses)},
      {"408 in head", "GET /half HT", {R"("GET /half" 408 Request Timeout)"}},
      {"408 before the target", "GE", {R"("-" 408 Request Timeout)"}},
      {"reset in head", "GET /half", {R"("GET /half" 499 0B 0.0ms)"}, {}, after(10ms, kResets)},
      {"reset in head behind an answer",
       get + "GET /half",
       {R"("GET / HTTP/1.1" 200 OK)", R"("GET /half" 499 0B)"},
       {},
       after(10ms, kResets)},
      {"stop in head", "GET /half", {R"("GET /half" - 0B)"}, {}, after(10ms, kStopsNow)},
      // rejected bodies
      {"EOF in content",
       post("Content-Length: 5\r\n", "a"),
       {R"("POST /in?q HTTP/1.1" 400 Bad)"},
       {},
       after(10ms, kHalfCloses)},
      {"408 in content", post("Content-Length: 5\r\n", "a"), {R"(HTTP/1.1" 408 Request)"}},
      {"chunk", post("Transfer-Encoding: chunked\r\n", "x\r\n"), {R"(HTTP/1.1" 400 Bad)"}},
      {"413 in chunks",
       post("Transfer-Encoding: chunked\r\n", "fffffff\r\n"),
       {R"("POST /in?q HTTP/1.1" 413 Content)"}},
      {"larger than the spool",
       post("Content-Length: 500\r\n", std::string(500, 'a')),
       {R"("POST /in?q HTTP/1.1" 413 Content)"},
       [](Config& config) { config.spool_bytes_max = config.body_memory_bytes = 100; }},
      {"reset in content",
       post("Content-Length: 5\r\n", "a"),
       {R"(/in?q HTTP/1.1" 499 0B)"},
       {},
       after(10ms, kResets)},
      {"stop in content",
       post("Content-Length: 5\r\n", "a"),
       {R"(/in?q HTTP/1.1" - 0B)"},
       {},
       after(10ms, kStopsNow)},
      {"400 while it is read",
       post("Transfer-Encoding: chunked\r\n", "x\r\n"),
       {R"(/in?q HTTP/1.1" 400 Bad)"},
       streaming},
      {"EOF while it is read",
       post("Content-Length: 5\r\n", "a"),
       {R"(/in?q HTTP/1.1" 400 Bad)"},
       streaming,
       after(10ms, kHalfCloses)},
      {"reset while it is read",
       post("Content-Length: 5\r\n", "a"),
       {R"(/in?q HTTP/1.1" 499 )"},
       streaming,
       after(10ms, kResets)},
      // waiting requests
      {"reset in the queue",
       get,
       {R"("GET / HTTP/1.1" 499 0B)"},
       {},
       [](WatchedRig<>& rig, ScriptedClient& client) {
         rig.sys.after(100ms, [&client] { client.reset(); });
       }},
      {"queue is full",
       get,
       {R"("GET / HTTP/1.1" 503 Service)"},
       [](Config& config) { config.queued_max = 0; }},
      {"too long in the queue",
       get,
       {R"("GET / HTTP/1.1" 503 Service)"},
       [](Config& config) { config.queue_timeout = 100ms; }},
      {"no thread is left",
       get,
       {R"("GET / HTTP/1.1" 503 Service)"},
       [](Config& config) {
         config.request_timeout = 100ms;
         config.timeout_grace = 100ms;
         config.queue_timeout = {};
       }},
      // calls
      {"reset in the call",
       WatchedRig<>::request("/slow"),
       {R"("GET /slow HTTP/1.1" 499 )"},
       {},
       after(100ms, kResets)},
      {"deadline",
       WatchedRig<>::request("/slow"),
       {R"("GET /slow HTTP/1.1" 504 Gateway)"},
       [](Config& config) { config.request_timeout = 100ms; }},
      {"deadline behind the head",
       WatchedRig<>::request("/stops"),
       {R"("GET /stops HTTP/1.1" 200 OK)"},
       [](Config& config) { config.request_timeout = 100ms; }},
      {"stop in the call",
       WatchedRig<>::request("/slow"),
       {R"("GET /slow" - 0B)"},
       {},
       after(100ms, kStopsNow)},
      // no request
      {"idle", "", {}},
      {"one line end", "\r\n", {}},
      {"EOF", "", {}, {}, after(10ms, kHalfCloses)},
      {"reset", "", {}, {}, after(10ms, kResets)},
      {"stop", "", {}, {}, after(10ms, kStopsNow)},
      {"idle behind an answer", get, {R"("GET / HTTP/1.1" 200 OK)"}, {}, after(10ms, kStopsNow)},
  };
}

/// What the application does, by path.
void views(WatchedRig<>& rig) {
  rig.slow_view(2s);
  const auto begin = [](Exchange& e) {
    core::ResponseHead head;
    head.status = "200 OK";
    e.respond(head);
    e.body(std::as_bytes(std::span("....", 4)));
  };
  rig.app.views["/fails"] = [](Exchange& e) { e.fail(500, "failed"); };
  rig.app.views["/breaks"] = [begin](Exchange& e) {
    begin(e);
    e.abort();
  };
  rig.app.views["/stops"] = [&rig, begin](Exchange& e) {
    begin(e);
    (void)e.deliver();
    rig.app.sleep(2s);
    e.abort();
  };
  rig.app.views["/in"] = [](Exchange& e) {
    std::array<std::byte, 100> block;
    while (e.read_body(block).bytes > 0) {
    }
    FakeApplication::answer(e, "read");
  };
}

TEST(AccessLines, EachRequestHasOneLineHoweverItEnds) {
  for (const End& end : ends()) {
    SCOPED_TRACE(end.name);
    Config config;
    config.limits.receive_timeout = 1s;
    if (end.settings) end.settings(config);
    WatchedRig<> rig(config);
    views(rig);
    const bool queued = has(end.name, "queue") || end.name == "no thread is left";
    if (queued) busy(rig);
    ScriptedClient client;
    rig.sys.after(queued ? 50ms : 0ms, [&] {
      client = rig.connect();
      if (!end.sends.empty()) client.send(end.sends);
    });
    if (end.script) end.script(rig, client);
    rig.stop_after(20s);
    rig.run();
    std::vector<std::string> lines = rig.log.access_lines;
    if (queued) {
      const auto first = std::find_if(lines.begin(), lines.end(),
                                      [](const std::string& line) { return has(line, "/slow"); });
      ASSERT_NE(first, lines.end());
      lines.erase(first);
    }
    ASSERT_EQ(lines.size(), end.lines.size()) << (lines.empty() ? "" : lines.back());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      EXPECT_TRUE(has(lines[i], end.lines[i])) << lines[i];
      EXPECT_TRUE(std::regex_match(lines[i], kLine)) << lines[i];
      EXPECT_TRUE(lines[i].starts_with("192.0.2.") || lines[i].starts_with("127.0.0.1:"))
          << lines[i];
    }
    // Every id sent to the client is in the access log.
    const std::string& got = client.received();
    static constexpr std::string_view kTold = "Request ID: ";
    for (auto at = got.find(kTold); at != std::string::npos; at = got.find(kTold, at + 1)) {
      const std::size_t begin = at + kTold.size();
      const std::string id = got.substr(begin, got.find_first_of("\r\n", begin) - begin);
      EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
        return id_of(line) == id;
      })) << id;
      EXPECT_TRUE(std::any_of(rig.log.server_lines.begin(), rig.log.server_lines.end(),
                              [&](const std::string& line) { return has(line, "(" + id + ")"); }) ||
                  has(end.name, "fails"))
          << id;
    }
  }
}

// ---- which client is named

struct Named {
  std::string sends;
  std::string line;     // how the access line begins
  std::string warning;  // a part of a server line; empty: none is expected
};

TEST(AccessLines, NameTheSameClientAsEnviron) {
  const std::string forwarded = "X-Forwarded-For: 203.0.113.9\r\nX-Request-ID: theirs\r\n";
  const std::vector<Named> all{
      {"GET / HTTP/1.1\r\nHost: a\r\n" + forwarded + "\r\n", "203.0.113.9 - \"GET / HTTP/1.1\" 200",
       ""},
      {"GET /a HTTP/1.1\r\n" + forwarded + "\r\n", "203.0.113.9 - \"GET /a HTTP/1.1\" 400",
       "203.0.113.9 - 400 Host: missing in an HTTP/1.1 request: \"GET /a HTTP/1.1\" (theirs)"},
      {post(forwarded + "Content-Length: 9999999\r\n"), "203.0.113.9 - \"POST /in?q HTTP/1.1\" 413",
       R"(203.0.113.9 - 413 body of 10.0 MB is over --limit-body 1 MiB: "POST /in?q HTTP/1.1" (theirs))"},
      {post(forwarded + "Transfer-Encoding: chunked\r\n", "x\r\n"),
       "203.0.113.9 - \"POST /in?q HTTP/1.1\" 400", "in POST /in (theirs)"},
      {post(forwarded + "B@d: x\r\n"), "203.0.113.9 - \"POST /in?q HTTP/1.1\" 400",
       "\"B@\" in POST /in (theirs)"},
      {post("B@d: x\r\n" + forwarded), "203.0.113.9 - \"POST /in?q HTTP/1.1\" 400",
       "in POST /in (theirs)"},
      {post("X_Id: x\r\n" + forwarded, ""), "203.0.113.9 - \"POST /in?q HTTP/1.1\" 200",
       "203.0.113.9 - field \"X_Id\" is dropped"},
  };
  for (const bool trusted : {true, false}) {
    for (const Named& one : all) {
      SCOPED_TRACE(one.sends);
      WatchedRig<> rig;
      views(rig);
      rig.app.trusted = trusted;
      ScriptedClient client = rig.connect();
      client.send(one.sends);
      rig.stop_after(20s);
      rig.run();
      ASSERT_EQ(rig.log.access_lines.size(), 1U);
      const std::string& line = rig.log.access_lines[0];
      EXPECT_EQ(line.starts_with(one.line), trusted) << line;
      EXPECT_EQ(id_of(line) == "theirs", trusted) << line;
      EXPECT_EQ(has(line, ":" + std::to_string(client.port()) + " - "), !trusted) << line;
      if (one.warning.empty()) continue;
      ASSERT_EQ(rig.log.server_lines.size(), 1U);
      EXPECT_EQ(has(rig.log.server_lines[0], one.warning), trusted) << rig.log.server_lines[0];
      EXPECT_TRUE(has(rig.log.server_lines[0], id_of(line))) << rig.log.server_lines[0];
    }
  }
}

TEST(AccessLines, AnIncompleteHeadIsLoggedWithThePeerAddress) {
  // The missing part may say otherwise: the last address counts, and it has not arrived.
  WatchedRig<> rig;
  rig.app.trusted = true;
  ScriptedClient client = rig.connect();
  client.send("GET / HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\nHost");
  rig.stop_after(20s);
  rig.run();
  ASSERT_EQ(rig.log.access_lines.size(), 1U);
  EXPECT_FALSE(has(rig.log.access_lines[0], "6.6.6.6"));
  EXPECT_TRUE(has(rig.log.access_lines[0], "\"GET / HTTP/1.1\" 408")) << rig.log.access_lines[0];
}

TEST(AccessLines, EachPipelinedRequestNamesItsForwardedClient) {
  WatchedRig<> rig;
  rig.app.trusted = true;
  ScriptedClient client = rig.connect();
  client.send("GET /1 HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n" +
              WatchedRig<>::request("/2") + "GET /3 HTTP/1.1\r\n\r\n");
  rig.stop_after(20s);
  rig.run();
  ASSERT_EQ(rig.log.access_lines.size(), 3U);
  EXPECT_TRUE(rig.log.access_lines[0].starts_with("1.1.1.1 - \"GET /1 "));
  EXPECT_FALSE(has(rig.log.access_lines[1], "1.1.1.1"));
  EXPECT_FALSE(has(rig.log.access_lines[2], "1.1.1.1"));
}

// ---- nothing that a client sends forges a line

/// Valid and malformed requests, with bytes changed, inserted and removed.
std::string mangled(std::mt19937_64& random) {
  static const std::vector<std::string> kSeeds{
      WatchedRig<>::request("/a?b=\"c\""),
      "GET /x HTTP/1.1\r\n\r\n",
      post("Content-Length: 5\r\n", "hello") + WatchedRig<>::request("/next"),
      post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
      "GET /\" 200 OK 1B 0.0ms x\n6.6.6.6 - \"GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\n6.6.6.6 - \"GET\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX_\n6.6.6.6 - forged: 1\r\nX-Forwarded-For: 1\n2\r\n\r\n",
      "BREW /\x80\xff HTTP/1.1\r\n\r\n",
      "\x16\x03\x01\r\n",
  };
  std::string text = kSeeds[random() % kSeeds.size()];
  for (std::uint64_t changes = random() % 6; changes > 0; --changes) {
    const std::size_t at = random() % (text.size() + 1);
    static constexpr std::string_view kOctets{"\n\r\0\t \"\\\x1b\x7f\x80\xff:%", 13};
    const char octet =
        random() % 2 == 0 ? kOctets[random() % kOctets.size()] : static_cast<char>(random() % 256);
    switch (random() % 3) {
      case 0:
        text.insert(at, 1, octet);
        break;
      case 1:
        if (at < text.size()) text[at] = octet;
        break;
      default:
        text.erase(at, random() % 4);
    }
  }
  return text;
}

TEST(AccessLines, NoByteOfAClientForgesALine) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    WatchedRig<> rig;
    views(rig);
    rig.app.trusted = random() % 2 == 0;
    std::vector<ScriptedClient> clients(8);
    for (ScriptedClient& client : clients) {
      client = rig.connect();
      client.send(mangled(random));
    }
    rig.stop_after(20s);
    rig.run();
    for (const auto* lines : {&rig.log.access_lines, &rig.log.server_lines}) {
      for (const std::string& line : *lines) {
        EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) {
          return c >= ' ' && c < 127;
        })) << line;
      }
    }
    std::size_t told = 0;
    for (const ScriptedClient& client : clients) {
      for (const std::string_view status : {"HTTP/1.1 2", "HTTP/1.1 4", "HTTP/1.1 5"})
        told += count(client.received(), status);
    }
    EXPECT_EQ(rig.log.access_lines.size(), told) << "one line for each answer";
    for (const std::string& line : rig.log.access_lines) {
      EXPECT_TRUE(std::regex_match(line, kLine)) << line;
    }
  }
}

}  // namespace
}  // namespace iotax
