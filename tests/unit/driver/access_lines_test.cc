// The access log line of a request, for every way in which it can end; which client and id the
// logs name; and that no byte of a client forges a line.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
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
struct Ending {
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

std::vector<Ending> ends() {
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

/// Runs one Ending.
struct Ended {
  explicit Ended(const Ending& end, Config config = {}) : rig(settled(end, std::move(config))) {
    views(rig);
    const bool queued = has(end.name, "queue") || end.name == "no thread is left";
    if (queued) busy(rig);
    rig.sys.after(queued ? 50ms : 0ms, [&] {
      client = rig.connect();
      if (!end.sends.empty()) client.send(end.sends);
    });
    if (end.script) end.script(rig, client);
    rig.stop_after(20s);
    rig.run();
    lines = rig.log.access_lines;
    if (queued) {
      std::erase_if(lines, [](const std::string& line) { return has(line, "/slow"); });
    }
  }
  static Config settled(const Ending& end, Config config) {
    config.limits.receive_timeout = 1s;
    if (end.settings) end.settings(config);
    return config;
  }

  WatchedRig<> rig;
  ScriptedClient client;
  std::vector<std::string> lines;
};

TEST(AccessLines, EachLineIsCountedOnce) {
  using driver::CounterIndex;
  for (Ending& end : ends()) {
    std::ptrdiff_t lines = 0;
    std::ptrdiff_t errors = 0;
    for (const bool logged : {true, false}) {
      SCOPED_TRACE(end.name + (logged ? "" : ", without an access log"));
      Ending counted = end;
      counted.settings = [&](Config& config) {
        if (end.settings) end.settings(config);
        config.counts = true;
        config.access_log = logged;
      };
      const Ended ended(counted);
      driver::CounterWords words{};
      ended.rig.memory.scoreboard().add_counters(0, words);
      const auto sum = [&](std::size_t first, std::size_t count) {
        std::ptrdiff_t total = 0;
        for (std::size_t n = first; n < first + count; ++n)
          total += static_cast<std::ptrdiff_t>(words[n]);
        return total;
      };
      if (logged) {
        const std::vector<std::string>& all = ended.rig.log.access_lines;
        const std::regex error{R"re(" [45][0-9]{2} [A-Z])re"};
        lines = static_cast<std::ptrdiff_t>(all.size());
        errors = std::count_if(all.begin(), all.end(), [&](const std::string& line) {
          return std::regex_search(line, error);
        });
      }
      EXPECT_EQ(sum(0, CounterIndex::kEnded), lines);
      EXPECT_EQ(sum(CounterIndex::kEnded, CounterIndex::kEnds), lines);
      EXPECT_EQ(sum(CounterIndex::histogram(driver::Timed::request), driver::kBuckets.size() + 1),
                lines);
      EXPECT_EQ(sum(CounterIndex::kRejected, driver::kRejections.size()), errors);
      EXPECT_EQ(ended.rig.memory.scoreboard().gauges(0)->begun.get(), driver::finished_in(words));
    }
  }
}

TEST(AccessLines, EachRequestHasOneLineHoweverItEnds) {
  for (const Ending& end : ends()) {
    SCOPED_TRACE(end.name);
    const Ended ended(end);
    const std::vector<std::string>& lines = ended.lines;
    ASSERT_EQ(lines.size(), end.lines.size()) << (lines.empty() ? "" : lines.back());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      EXPECT_TRUE(has(lines[i], end.lines[i])) << lines[i];
      EXPECT_TRUE(std::regex_match(lines[i], kLine)) << lines[i];
      EXPECT_TRUE(lines[i].starts_with("192.0.2.") || lines[i].starts_with("127.0.0.1:"))
          << lines[i];
    }
    // Every id sent to the client is in the access log.
    const std::string& got = ended.client.received();
    const std::vector<std::string>& server = ended.rig.log.server_lines;
    static constexpr std::string_view kTold = "Request ID: ";
    for (auto at = got.find(kTold); at != std::string::npos; at = got.find(kTold, at + 1)) {
      const std::size_t begin = at + kTold.size();
      const std::string id = got.substr(begin, got.find_first_of("\r\n", begin) - begin);
      EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
        return id_of(line) == id;
      })) << id;
      EXPECT_TRUE(std::any_of(server.begin(), server.end(),
                              [&](const std::string& line) { return has(line, "(" + id + ")"); }) ||
                  has(end.name, "fails"))
          << id;
    }
  }
}

// ---- how and by whom, with JSON lines

/// The value of a key in a JSON line, without quotes; empty: there is none.
std::string value(std::string_view line, std::string_view key) {
  const std::string quoted = "\"" + std::string(key) + "\":";
  const std::size_t at = line.find(quoted);
  if (at == std::string_view::npos) return {};
  std::string_view rest = line.substr(at + quoted.size());
  if (rest.starts_with('"')) return std::string(rest.substr(1, rest.find('"', 1) - 1));
  return std::string(rest.substr(0, rest.find_first_of(",}")));
}

Config json_lines() {
  Config config;
  config.access_format = driver::AccessFormat::json();
  return config;
}

/// `end`, `by` and `error` of the last line, by the name of the Ending.
const std::map<std::string, std::string> kHowEnded{
    {"answered", "complete app "},
    {"pipelined", "complete app "},
    {"fails", "app_error server app_error"},
    {"breaks", "app_error app "},
    {"OPTIONS *", "complete server "},
    {"CONNECT", "rejected server method"},
    {"413", "rejected server too_large"},
    {"414", "rejected server too_large"},
    {"431", "rejected server too_large"},
    {"501", "rejected server method"},
    {"408 in head", "rejected server slow"},
    {"408 before the target", "rejected server slow"},
    {"reset in head", "client_gone server "},
    {"reset in head behind an answer", "client_gone server "},
    {"stop in head", "shutdown server "},
    {"408 in content", "rejected server slow"},
    {"413 in chunks", "rejected server too_large"},
    {"larger than the spool", "rejected server too_large"},
    {"reset in content", "client_gone server "},
    {"stop in content", "shutdown server "},
    {"reset while it is read", "client_gone app "},
    {"reset in the queue", "client_gone server "},
    {"queue is full", "overloaded server queue_full"},
    {"too long in the queue", "overloaded server queue_timeout"},
    {"no thread is left", "overloaded server no_thread"},
    {"reset in the call", "client_gone app "},
    {"deadline", "deadline server deadline"},
    {"deadline behind the head", "deadline app deadline"},
    {"stop in the call", "shutdown server "},
    {"idle behind an answer", "complete app "},
};

TEST(AccessLines, SayHowEachRequestEnded) {
  for (const Ending& end : ends()) {
    SCOPED_TRACE(end.name);
    const Ended ended(end, json_lines());
    ASSERT_EQ(ended.lines.size(), end.lines.size());
    if (end.lines.empty()) continue;
    const std::string& line = ended.lines.back();
    const auto due = kHowEnded.find(end.name);
    EXPECT_EQ(
        value(line, "iotax.end") + " " + value(line, "iotax.by") + " " + value(line, "error.type"),
        due == kHowEnded.end() ? "rejected server malformed" : due->second)
        << line;
    EXPECT_FALSE(value(line, "iotax.request_id").empty());
    EXPECT_FALSE(has(line, "null"));
  }
}

// ---- how long and how much

struct Measured {
  std::string name;
  std::function<void(WatchedRig<>&, ScriptedClient&)> script;
  std::vector<std::pair<std::string, std::string>> values;  // of the last line
  std::function<void(Config&)> settings = {};
};

TEST(AccessLines, MeasureByTheWorkersClock) {
  const auto big = std::make_shared<std::string>(100'000, 'b');
  const std::vector<Measured> all{
      {"slow upload",
       [](WatchedRig<>& rig, ScriptedClient& client) {
         client.send("POST /in HTTP/1.1\r\nHost: a\r\n");
         rig.sys.after(100ms, [&] { client.send("Content-Length: 10\r\n\r\n1234"); });
         rig.sys.after(300ms, [&] { client.send("567890"); });
       },
       {{"iotax.receive.duration", "0.300000"},
        {"http.server.request.duration", "0.000000"},
        {"iotax.queue.duration", "0.000000"},
        {"http.request.body.size", "10"},
        {"http.response.body.size", "4"}}},
      {"slow upload to a call that reads it",
       [](WatchedRig<>& rig, ScriptedClient& client) {
         client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234");
         rig.sys.after(300ms, [&] { client.send("567890"); });
       },
       {{"iotax.receive.duration", "0.000000"},
        {"http.server.request.duration", "0.300000"},
        {"iotax.app.duration", "0.300000"},
        {"http.request.body.size", "10"}},
       streaming},
      {"chunks",
       [](WatchedRig<>&, ScriptedClient& client) {
         client.send(
             "POST /in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
       },
       {{"http.request.body.size", "7"}}},
      {"rejected content",
       [](WatchedRig<>& rig, ScriptedClient& client) {
         client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234");
         rig.sys.after(250ms, [&] { client.half_close(); });
       },
       {{"http.response.status_code", "400"},
        {"http.request.body.size", "4"},
        {"iotax.queue.duration", ""},
        {"iotax.app.duration", ""}}},
      {"head that is too slow",
       [](WatchedRig<>&, ScriptedClient& client) { client.send("GET /"); },
       {{"http.response.status_code", "408"}, {"iotax.receive.duration", "1.00"}}},
      {"queue",
       [](WatchedRig<>& rig, ScriptedClient& client) {
         client.send(WatchedRig<>::request("/slow"));
         rig.sys.after(500ms, [&rig] { rig.get("/"); });
       },
       {{"iotax.queue.duration", "1.500000"},
        {"iotax.app.duration", "0.000000"},
        {"http.server.request.duration", "1.500000"}}},
      {"call",
       [](WatchedRig<>&, ScriptedClient& client) { client.send(WatchedRig<>::request("/slow")); },
       {{"iotax.queue.duration", "0.000000"},
        {"iotax.app.duration", "2.000000"},
        {"http.server.request.duration", "2.000000"}}},
      {"close() after the response",
       [](WatchedRig<>&, ScriptedClient& client) { client.send(WatchedRig<>::request("/closes")); },
       {{"iotax.app.duration", "0.700000"}, {"http.server.request.duration", "0.000000"}}},
      {"slow reader",
       [](WatchedRig<>& rig, ScriptedClient& client) {
         client.read_by_hand(1000);
         client.send(WatchedRig<>::request("/big"));
         rig.sys.after(400ms, [&client] {
           client.read_by_hand(1'000'000);
           client.read(1000);
         });
       },
       {{"http.server.request.duration", "0.400000"},
        {"iotax.app.duration", "0.400000"},
        {"http.response.body.size", "100000"},
        {"iotax.end", "complete"}},
       [](Config& config) { config.answer_memory_bytes = config.spool_bytes_max = 1000; }},
      {"reader that takes nothing",
       [](WatchedRig<>&, ScriptedClient& client) {
         client.read_by_hand(1000);
         client.send(WatchedRig<>::request("/big"));
       },
       {{"http.response.status_code", "499"}, {"iotax.end", "client_slow"}},
       [](Config& config) {
         config.answer_memory_bytes = config.spool_bytes_max = 1000;
         config.limits.send_timeout = 2s;
       }},
      {"HEAD",
       [](WatchedRig<>&, ScriptedClient& client) {
         client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
       },
       {{"http.response.status_code", "200"}, {"http.response.body.size", "0"}}},
      {"304",
       [](WatchedRig<>&, ScriptedClient& client) { client.send(WatchedRig<>::request("/304")); },
       {{"http.response.status_code", "304"}, {"http.response.body.size", "0"}}},
      {"more than announced",
       [](WatchedRig<>&, ScriptedClient& client) { client.send(WatchedRig<>::request("/long")); },
       {{"http.response.body.size", "2"}, {"iotax.end", "complete"}}},
      {"less than announced",
       [](WatchedRig<>&, ScriptedClient& client) { client.send(WatchedRig<>::request("/short")); },
       {{"http.response.status_code", "200"},
        {"http.response.body.size", "4"},
        {"iotax.end", "app_error"},
        {"iotax.by", "app"}}},
  };
  for (const Measured& one : all) {
    SCOPED_TRACE(one.name);
    Config config = json_lines();
    config.limits.receive_timeout = 1s;
    if (one.settings) one.settings(config);
    WatchedRig<> rig(config);
    views(rig);
    rig.app.views["/closes"] = [&rig](Exchange& e) {
      FakeApplication::answer(e, "done");
      (void)e.deliver();
      rig.app.sleep(700ms);
    };
    rig.app.views["/big"] = [big](Exchange& e) {
      core::ResponseHead head;
      head.status = "200 OK";
      head.content_bytes = big->size();
      e.respond(head);
      if (e.body(std::as_bytes(std::span(*big))) == Sent::gone || e.deliver() == Sent::gone)
        return e.abort();
      e.finish();
    };
    const auto sends_4_bytes_of = [](std::uint64_t length) {
      return [length](Exchange& e) {
        core::ResponseHead head;
        head.status = "200 OK";
        head.content_bytes = length;
        e.respond(head);
        e.body(std::as_bytes(std::span("....", 4)));
        e.finish();
      };
    };
    rig.app.views["/long"] = sends_4_bytes_of(2);
    rig.app.views["/short"] = sends_4_bytes_of(9);
    rig.app.views["/304"] = [](Exchange& e) {
      core::ResponseHead head;
      head.status = "304 Not Modified";
      e.respond(head);
      e.finish();
    };
    ScriptedClient client;
    rig.sys.after(1s, [&] {
      client = rig.connect();
      one.script(rig, client);
    });
    rig.stop_after(20s);
    rig.run();
    ASSERT_FALSE(rig.log.access_lines.empty());
    const std::string& line = rig.log.access_lines.back();
    for (const auto& [key, due] : one.values) {
      const std::string found = value(line, key);
      EXPECT_EQ(due.empty() ? found : found.substr(0, due.size()), due) << key << line;
    }
  }
}

TEST(AccessLines, AreWrittenWhenACallDoesNotEndAfterItsResponse) {
  for (const bool by_deadline : {false, true}) {
    SCOPED_TRACE(by_deadline);
    Config config = json_lines();
    if (by_deadline) config.request_timeout = 1s;
    WatchedRig<> rig(config);
    rig.app.views["/closes"] = [&rig](Exchange& e) {
      FakeApplication::answer(e, "done");
      (void)e.deliver();
      rig.app.sleep(3s);
    };
    rig.get("/closes");
    rig.stop_after(by_deadline ? 20s : 2s, Stop::now);
    rig.run();
    ASSERT_EQ(rig.log.access_lines.size(), 1U);
    EXPECT_EQ(value(rig.log.access_lines[0], "iotax.end"), "complete");
    EXPECT_NE(value(rig.log.access_lines[0], "iotax.app.duration"), "3.000000");
  }
}

/// What happens to a client after the application has ended its response, and its line.
struct Left {
  std::string name;
  std::string path;
  std::function<void(WatchedRig<>&, ScriptedClient&)> script;
  std::string line;  // status, end, bytes, seconds
};

TEST(AccessLines, WaitUntilTheResponseIsSent) {
  static const std::string kBig(100'000, 'x');
  const auto reads = [](WatchedRig<>& rig, ScriptedClient& client) {
    rig.sys.after(400ms, [&client] {
      client.read_by_hand(1'000'000);
      client.read(1000);
    });
  };
  const auto stops = [](WatchedRig<>& rig, ScriptedClient&) {
    rig.sys.after(400ms, [&rig] { rig.worker->stop(Stop::now); });
  };
  // The client has room for 1,000 bytes, of which the head takes 100.
  const std::vector<Left> all{
      {"takes all later", "/big", reads, "200 complete 100000 0.400000"},
      {"takes all later of a file", "/file", reads, "200 complete 100000 0.400000"},
      {"takes nothing more", "/big", [](auto&, auto&) {}, "499 client_slow 900 6."},
      {"takes nothing more of a file", "/file", [](auto&, auto&) {}, "499 client_slow 900 6."},
      {"is reset", "/big", after(400ms, kResets), "499 client_gone 900 0.400000"},
      {"is reset during close()", "/closes", after(400ms, kResets), "499 client_gone 900 0.700000"},
      {"is slow during close()", "/closes%20long", [](auto&, auto&) {},
       "499 client_slow 900 8.000000"},
      {"server stops", "/big", stops, "200 shutdown 900 0.402000"},
      {"server stops during close()", "/closes", stops, "200 shutdown 900 0.400000"},
      {"file is too short", "/short", reads, "200 app_error 50 0.000000"},
      {"application fails", "/breaks", [](auto&, auto&) {}, "200 app_error 900 6."},
      {"nothing is left to send", "/HEAD", [](auto&, auto&) {}, "200 complete 0 0.000000"},
  };
  const auto text = std::get<driver::AccessFormat>(
      driver::AccessFormat::compile("%(U)s %(s)s %(end)s %(B)s %(L)s", false));
  for (const Left& one : all) {
    for (const bool json : {false, true}) {
      SCOPED_TRACE(one.name + (json ? " in JSON" : " in text"));
      Config config;
      config.access_format = json ? driver::AccessFormat::json() : text;
      config.limits.send_timeout = 2s;
      config.server_header = "";
      WatchedRig<> rig(config);
      const auto respond = [](Exchange& e) {
        core::ResponseHead head;
        head.status = "200 OK";
        head.content_bytes = kBig.size();
        const std::array fields{core::Field{"X", std::string_view(kBig).substr(0, 15)}};
        const core::ResponseFields good(fields);
        head.fields = &good;
        e.respond(head);
      };
      const auto big = [respond](Exchange& e) {
        respond(e);
        e.body(std::as_bytes(std::span(kBig)));
        e.finish();
      };
      const auto file = [&rig, respond](std::size_t bytes) {
        return [&rig, respond, bytes](Exchange& e) {
          respond(e);
          e.body_file(driver::UniqueFd(rig.sys.open_file(kBig.substr(0, bytes))), 0, kBig.size());
          e.finish();
        };
      };
      rig.app.views["/big"] = big;
      rig.app.views["/file"] = rig.app.views["/HEAD"] = file(kBig.size());
      rig.app.views["/short"] = file(50);
      rig.app.views["/closes"] = [&rig, big](Exchange& e) {
        big(e);
        (void)e.deliver();
        rig.app.sleep(700ms);
      };
      rig.app.views["/closes%20long"] = [&rig, big](Exchange& e) {
        big(e);
        (void)e.deliver();
        rig.app.sleep(8s);
      };
      rig.app.views["/breaks"] = [respond](Exchange& e) {
        respond(e);
        e.body(std::as_bytes(std::span(kBig)));
        e.abort();
      };
      ScriptedClient client = rig.connect();
      client.read_by_hand(1000);
      std::string request = WatchedRig<>::request(one.path);
      if (one.path == "/HEAD") request.replace(0, 3, "HEAD");
      client.send(request + WatchedRig<>::request("/next"));
      one.script(rig, client);
      rig.stop_after(20s);
      rig.run();
      const std::vector<std::string>& lines = rig.log.access_lines;
      ASSERT_FALSE(lines.empty());
      const std::string line = !json ? lines[0].substr(lines[0].find(' ') + 1)
                                     : value(lines[0], "http.response.status_code") + ' ' +
                                           value(lines[0], "iotax.end") + ' ' +
                                           value(lines[0], "http.response.body.size") + ' ' +
                                           value(lines[0], "http.server.request.duration");
      EXPECT_EQ(line.substr(0, one.line.size()), one.line) << lines[0];
      const bool served_next = has(one.line, "complete");
      EXPECT_EQ(has(lines.back(), "/next"), served_next) << lines.back();
      EXPECT_EQ(lines.size(), served_next ? 2U : 1U);
    }
  }
}

/// The request that the client sent before its reset is read, and called, if the output does not
/// notice the reset first.
TEST(AccessLines, AResponseThatWasNotSentIsLoggedIfAnotherRequestBegins) {
  static const std::string kBig(100'000, 'x');
  WatchedRig<> rig(json_lines());
  rig.app.views["/big"] = [](Exchange& e) { FakeApplication::answer(e, kBig); };
  ScriptedClient client = rig.connect();
  client.read_by_hand(1000);
  client.send(WatchedRig<>::request("/big"));
  rig.sys.after(400ms, [&] {
    client.send(WatchedRig<>::request("/next"));
    client.reset();
    rig.sys.fail("send", 1, EAGAIN);
  });
  rig.stop_after(20s);
  rig.run();
  const std::vector<std::string>& lines = rig.log.access_lines;
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(value(lines[0], "url.path"), "/big");
  EXPECT_EQ(value(lines[0], "iotax.end"), "client_gone");
  EXPECT_EQ(value(lines[1], "url.path"), "/next");
  EXPECT_NE(value(lines[0], "iotax.request_id"), value(lines[1], "iotax.request_id"));
}

TEST(AccessLines, ShowFieldsOfBothHeads) {
  Config config;
  config.access_format = std::get<driver::AccessFormat>(driver::AccessFormat::compile(
      R"("%({X-Asked}i)s" "%({x-told}o)s" "%({Nope}o)s" "%(a)s" %(s)s)", false));
  WatchedRig<> rig(config);
  rig.app.views["/"] = [](Exchange& e) {
    const std::array fields{core::Field{"X-Told", "one"}, core::Field{"Other", "x"},
                            core::Field{"x-told", "two"}};
    const core::ResponseFields good(fields);
    core::ResponseHead head;
    head.status = "200 OK";
    head.fields = &good;
    e.respond(head);
    e.finish();
  };
  ScriptedClient client = rig.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nx-asked: me\r\n\r\n" + WatchedRig<>::request("/plain") +
              "GET /bad HTTP/1.1\r\n\r\n");
  rig.stop_after(20s);
  rig.run();
  ASSERT_EQ(rig.log.access_lines.size(), 3U);
  EXPECT_EQ(rig.log.access_lines[0], R"("me" "one, two" "-" "-" 200)");
  EXPECT_EQ(rig.log.access_lines[1], R"("-" "-" "-" "-" 200)") << "nothing of the one before";
  EXPECT_EQ(rig.log.access_lines[2], R"("-" "-" "-" "-" 400)");
}

TEST(AccessLines, NameTheTraceInBothLogs) {
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::string field = "traceparent: " + trace + "\r\n";
  for (const bool named : {true, false}) {
    Config config;
    config.log_traces = named;
    if (named) config.access_format = driver::AccessFormat::json();
    WatchedRig<> rig(config);
    views(rig);
    for (const std::string& sent :
         {"GET / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n",
          "GET /bad HTTP/1.1\r\n" + field + "\r\n", post(field + "Content-Length: 9999999\r\n")}) {
      rig.connect().send(sent);
    }
    rig.stop_after(20s);
    rig.run();
    ASSERT_EQ(rig.log.access_lines.size(), 3U);
    for (const std::string& line : rig.log.access_lines) {
      EXPECT_EQ(value(line, "trace_id"), named ? "0af7651916cd43dd8448eb211c80319c" : "") << line;
      EXPECT_EQ(value(line, "span_id"), named ? "b7ad6b7169203331" : "");
    }
    ASSERT_EQ(rig.log.server_ids.size(), 2U);
    for (const std::string& ids : rig.log.server_ids) EXPECT_EQ(has(ids, trace), named) << ids;
  }
}

TEST(AccessLines, TheRequestIdIsInTheNamedFieldOfEveryResponse) {
  Config config;
  config.request_id_header = "X-Request-ID";
  WatchedRig<> rig(config);
  views(rig);
  rig.app.views["/own"] = [](Exchange& e) {
    const std::array fields{core::Field{"x-request-id", "own"}};
    const core::ResponseFields good(fields);
    core::ResponseHead head;
    head.status = "200 OK";
    head.fields = &good;
    e.respond(head);
    e.finish();
  };
  rig.app.views["/304"] = [](Exchange& e) {
    core::ResponseHead head;
    head.status = "304 Not Modified";
    e.respond(head);
    e.finish();
  };
  const auto ids_told = [](const std::string& received) {
    std::vector<std::string> ids;
    static const std::regex kField("X-Request-ID: ([^\r]*)\r\n", std::regex::icase);
    for (std::sregex_iterator it(received.begin(), received.end(), kField), end; it != end; ++it)
      ids.push_back((*it)[1]);
    return ids;
  };
  std::vector<ScriptedClient> clients;
  for (const std::string& sent :
       {WatchedRig<>::request("/"), std::string("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
        WatchedRig<>::request("/fails"), WatchedRig<>::request("/304"),
        std::string("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), std::string("GET / HTTP/1.1\r\n\r\n"),
        post("Content-Length: 9999999\r\n")}) {
    clients.push_back(rig.connect());
    clients.back().send(sent);
  }
  ScriptedClient own = rig.get("/own");
  ScriptedClient last = rig.get("/breaks");
  rig.stop_after(20s);
  rig.run();
  EXPECT_EQ(ids_told(own.received()), std::vector<std::string>{"own"});
  clients.push_back(last);
  for (const ScriptedClient& client : clients) {
    const std::vector<std::string> ids = ids_told(client.received());
    ASSERT_EQ(ids.size(), 1U) << client.received();
    EXPECT_TRUE(std::any_of(rig.log.access_lines.begin(), rig.log.access_lines.end(),
                            [&](const std::string& line) { return id_of(line) == ids[0]; }));
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
