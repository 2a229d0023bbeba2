// The text of access lines, in each format.
#include "driver/log/access_line.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "driver/log/held_entry.h"

namespace iotax::driver {
namespace {

using namespace std::chrono_literals;

const Peer kPeer{.remote_addr = "127.0.0.1",
                 .remote_port = "35694",
                 .local_addr = "127.0.0.1",
                 .local_port = "8000",
                 .unix_socket = false};
const Peer kUnix{
    .remote_addr = "", .remote_port = "", .local_addr = "", .local_port = "", .unix_socket = true};
constexpr core::Duration kNow = std::chrono::seconds{1'795'946'540} + 123'456'789ns;

AccessEntry entry() {
  AccessEntry e;
  e.peer = &kPeer;
  e.method = "GET";
  e.target = "/x?y";
  e.path = "/x";
  e.query = "y";
  e.version = "HTTP/1.1";
  e.status = 200;
  e.received_bytes = 12;
  e.sent_bytes = 154;
  e.duration = 2345678ns;
  e.queue = 1ms;
  e.app = 1234us;
  e.request_id = "REQUEST-ID";
  e.unix_time = kNow;
  e.process_id = 4711;
  e.by = By::app;
  return e;
}

std::string line(const AccessFormat& format, const AccessEntry& e) {
  core::Bytes out;
  append_access(out, format, e);
  std::string text(out.text());
  EXPECT_TRUE(text.ends_with('\n'));
  text.pop_back();
  return text;
}

std::string plain(const AccessEntry& e) { return line(AccessFormat(), e); }

std::string of(std::string_view format, const AccessEntry& e) {
  return line(std::get<AccessFormat>(AccessFormat::compile(format, false)), e);
}

// ---- default

TEST(DefaultLine, IsTheDocumentedOne) {
  EXPECT_EQ(plain(entry()),
            R"(127.0.0.1:35694 - "GET /x?y HTTP/1.1" 200 OK 154B 2.3ms REQUEST-ID)");
  EXPECT_EQ(
      line(AccessFormat(true), entry()),
      R"(2026-11-29T10:02:20.123Z 127.0.0.1:35694 - "GET /x?y HTTP/1.1" 200 OK 154B 2.3ms REQUEST-ID)");
}

TEST(DefaultLine, ForwardedClientHasNoPort) {
  AccessEntry e = entry();
  e.client = "203.0.113.9";
  EXPECT_TRUE(plain(e).starts_with("203.0.113.9 - ")) << plain(e);
  e.client = {};
  e.peer = &kUnix;
  EXPECT_TRUE(plain(e).starts_with("unix - ")) << plain(e);
  const Peer six{.remote_addr = "::1",
                 .remote_port = "7",
                 .local_addr = "",
                 .local_port = "",
                 .unix_socket = false};
  e.peer = &six;
  EXPECT_TRUE(plain(e).starts_with("[::1]:7 - ")) << plain(e);
  EXPECT_EQ(of("%(h)s %(peer)s", e), "::1 [::1]:7");
}

TEST(DefaultLine, ClientThatLeftHasNoReasonPhrase) {
  AccessEntry e = entry();
  e.status = 499;
  e.sent_bytes = 0;
  e.duration = 3s;
  EXPECT_EQ(plain(e), R"(127.0.0.1:35694 - "GET /x?y HTTP/1.1" 499 0B 3000.0ms REQUEST-ID)");
}

TEST(DefaultLine, WritesADashForWhatIsNotKnown) {
  AccessEntry e = entry();
  e.status = 0;
  e.version = {};
  EXPECT_EQ(plain(e), R"(127.0.0.1:35694 - "GET /x?y" - 154B 2.3ms REQUEST-ID)");
  e.target = {};
  e.status = -1;
  EXPECT_EQ(plain(e), R"(127.0.0.1:35694 - "GET" - 154B 2.3ms REQUEST-ID)");
  e.method = {};
  e.status = 408;
  EXPECT_EQ(plain(e), R"(127.0.0.1:35694 - "-" 408 Request Timeout 154B 2.3ms REQUEST-ID)");
}

TEST(DefaultLine, EscapesWhatTheClientChose) {
  AccessEntry e = entry();
  e.method = "G\"T";
  e.target = "/a\\b\x1b[2J\xc3\xbc\n";
  EXPECT_EQ(
      plain(e),
      R"(127.0.0.1:35694 - "G\x22T /a\x5cb\x1b[2J\xc3\xbc\x0a HTTP/1.1" 200 OK 154B 2.3ms REQUEST-ID)");
}

// ---- atoms

TEST(Atoms, EachShowsItsValue) {
  const std::array fields{core::Field{"User-Agent", "a b"}, core::Field{"REFERER", "http://r/"},
                          core::Field{"X", "1"}, core::Field{"x", "2"}};
  AccessEntry e = entry();
  e.fields = fields;
  e.duration = 1s + 2345678ns;
  e.worker = 3;
  e.trace = {"trace", "span", "01"};
  const std::vector<std::pair<std::string_view, std::string_view>> all{
      {"h", "127.0.0.1"},
      {"l", "-"},
      {"t", "[29/Nov/2026:10:02:20 +0000]"},
      {"r", "GET /x?y HTTP/1.1"},
      {"m", "GET"},
      {"U", "/x"},
      {"q", "y"},
      {"H", "HTTP/1.1"},
      {"s", "200"},
      {"B", "154"},
      {"b", "154"},
      {"f", "http://r/"},
      {"a", "a b"},
      {"T", "1"},
      {"M", "1002"},
      {"D", "1002345"},
      {"L", "1.002345"},
      {"p", "<4711>"},
      {"id", "REQUEST-ID"},
      {"trace_id", "trace"},
      {"span_id", "span"},
      {"peer", "127.0.0.1:35694"},
      {"queue", "0.001000"},
      {"app", "0.001234"},
      {"in", "12"},
      {"end", "complete"},
      {"worker", "3"},
      {"{X}i", "1, 2"},
      {"{nope}i", "-"},
  };
  for (const auto& [name, value] : all) {
    EXPECT_EQ(of("\"%(" + std::string(name) + ")s\"", e), "\"" + std::string(value) + "\"") << name;
  }
}

TEST(Atoms, WriteADashForWhatIsNotThere) {
  AccessEntry e;
  e.peer = &kUnix;
  std::string format;
  for (const std::string_view name : AccessFormat::atoms()) {
    if (name != "u") format.append(" ").append(name).append("=%(").append(name).append(")s");
  }
  EXPECT_EQ(of(format, e),
            " h=unix l=- t=[01/Jan/1970:00:00:00 +0000] r=- m=- U=- q= H=- s=- B=0 b=- f=- a=- T=0 "
            "M=0 D=0 L=0.000000 p=<0> id=- trace_id=- span_id=- peer=unix queue=- app=- in=0 "
            "end=complete worker=-");
}

TEST(Atoms, ShowWhatWasCollected) {
  AccessEntry e = entry();
  const std::array<CollectedValue, 3> values{CollectedValue{"alice", true},
                                             CollectedValue{"", true},
                                             CollectedValue{"of another request", false}};
  e.collected = values;
  EXPECT_EQ(of("%(u)s|%({A}o)s|%({B}e)s", e), "alice||-");
}

TEST(Atoms, AValueOutsideQuotesStaysOneWord) {
  AccessEntry e = entry();
  const std::array fields{core::Field{"A", " a \"b "}, core::Field{"a", "c"}};
  e.fields = fields;
  const std::array<CollectedValue, 2> values{CollectedValue{"x y", true},
                                             CollectedValue{"x y", true}};
  e.collected = values;
  EXPECT_EQ(of(R"(%(u)s %({A}i)s "%(u)s" "%({A}i)s")", e),
            R"(x\x20y \x20a\x20\x22b\x20,\x20c "x y" " a \x22b , c")");
}

TEST(CombinedLine, IsThatOfApache) {
  AccessEntry e = entry();
  const std::array fields{core::Field{"User-Agent", "curl/7 \"x\""}};
  e.fields = fields;
  const std::array<CollectedValue, 1> values{CollectedValue{"alice", true}};
  e.collected = values;
  EXPECT_EQ(
      of("combined", e),
      R"(127.0.0.1 - alice [29/Nov/2026:10:02:20 +0000] "GET /x?y HTTP/1.1" 200 154 "-" "curl/7 \x22x\x22")");
}

TEST(HeldEntry, CopiesTheTextsOfTheHead) {
  HeldEntry held;
  for (const std::string_view again : {"first", "second request, which is longer"}) {
    AccessEntry e = entry();
    std::string method(again), target(again), path(again), query(again), name(again), value(again);
    const std::array fields{core::Field{name, value}, core::Field{name, value}};
    e.method = method;
    e.target = target;
    e.path = path;
    e.query = query;
    e.fields = fields;
    held.hold(e);
    for (std::string* const gone : {&method, &target, &path, &query, &name, &value})
      gone->assign(again.size(), '!');
    for (const std::string_view kept :
         {held.entry.method, held.entry.target, held.entry.path, held.entry.query})
      EXPECT_EQ(kept, again);
    ASSERT_EQ(held.entry.fields.size(), 2U);
    EXPECT_EQ(held.entry.fields[1].name, again);
    EXPECT_EQ(held.entry.fields[1].value, again);
  }
}

// ---- JSON

TEST(JsonLine, HasTheDocumentedKeysInTheirOrder) {
  AccessEntry e = entry();
  e.worker = 2;
  e.trace = {"0af7", "b7ad", "01"};
  e.receive = 5ms;
  e.error = "ValueError";
  e.end = End::app_error;
  const std::array fields{core::Field{"User-Agent", "curl"}, core::Field{"Referer", "http://r/"}};
  e.fields = fields;
  const std::array<CollectedValue, 3> values{CollectedValue{"http", true},
                                             CollectedValue{"www.example.com", true},
                                             CollectedValue{"8000", true}};
  e.collected = values;
  EXPECT_EQ(
      of("json", e),
      R"({"timestamp":"2026-11-29T10:02:20.123456Z","severity":"INFO","message":"GET /x?y 200",)"
      R"("logger":"iotax.access","process.pid":4711,"iotax.worker":2,"iotax.request_id":"REQUEST-ID",)"
      R"("trace_id":"0af7","span_id":"b7ad","trace_flags":"01","client.address":"127.0.0.1",)"
      R"("client.port":35694,"network.peer.address":"127.0.0.1","network.peer.port":35694,)"
      R"("network.transport":"tcp","network.protocol.name":"http","network.protocol.version":"1.1",)"
      R"("http.request.method":"GET","url.scheme":"http","url.path":"/x","url.query":"y",)"
      R"("server.address":"www.example.com","server.port":8000,"user_agent.original":"curl",)"
      R"("http.request.header.referer":["http://r/"],"http.request.body.size":12,)"
      R"("http.response.status_code":200,"http.response.body.size":154,)"
      R"("http.server.request.duration":0.002345,"iotax.receive.duration":0.005000,)"
      R"("iotax.queue.duration":0.001000,"iotax.app.duration":0.001234,"iotax.by":"app",)"
      R"("iotax.end":"app_error","error.type":"ValueError"})");
}

TEST(JsonLine, LeavesOutWhatIsNotThere) {
  AccessEntry e;
  e.peer = &kUnix;
  e.by = By::server;
  e.end = End::rejected;
  e.status = 408;
  e.error = "slow";
  e.request_id = "1";
  const std::string made = of("json", e);
  EXPECT_EQ(made,
            R"({"timestamp":"1970-01-01T00:00:00.000000Z","severity":"INFO","message":"- 408",)"
            R"("logger":"iotax.access","process.pid":0,"iotax.request_id":"1",)"
            R"("network.transport":"unix","network.protocol.name":"http",)"
            R"("http.request.body.size":0,"http.response.status_code":408,)"
            R"("http.response.body.size":0,"http.server.request.duration":0.000000,)"
            R"("iotax.by":"server","iotax.end":"rejected","error.type":"slow"})");
  e.status = 0;
  e.method = "GET";
  e.target = "/half";
  EXPECT_NE(of("json", e).find(R"("message":"GET /half -")"), std::string::npos);
}

TEST(JsonLine, IsCutToWhatAPipeTakesWhole) {
  const std::string longest(100'000, '\xff');
  AccessEntry e = entry();
  e.client = "203.0.113.9";
  e.worker = 4'000'000'000;
  e.process_id = 2'000'000'000;
  e.received_bytes = e.sent_bytes = UINT64_MAX;
  e.duration = std::chrono::hours{100'000};
  e.receive = e.queue = e.app = e.duration;
  const std::string id(128, 'i');
  const std::string hex(32, 'f');
  e.request_id = id;
  e.trace = {hex, std::string_view(hex).substr(16), "01"};
  e.method = longest;
  e.target = e.path = e.query = e.error = longest;
  const std::array fields{core::Field{"User-Agent", longest}, core::Field{"Referer", longest},
                          core::Field{"Referer", longest}};
  e.fields = fields;
  const std::array<CollectedValue, 3> values{
      CollectedValue{longest, true}, CollectedValue{longest, true}, CollectedValue{longest, true}};
  e.collected = values;
  core::Bytes out;
  append_access(out, AccessFormat::json(), e);
  EXPECT_LE(out.size(), kJsonLineBytesMax);
  EXPECT_TRUE(out.text().ends_with(
      R"("iotax.cut":["message","http.request.method","url.scheme","url.path","url.query",)"
      R"("server.address","user_agent.original","http.request.header.referer","error.type"]})"
      "\n"))
      << out.text();

  // What fits is not cut, and one long value has most of the line.
  e = entry();
  const std::string path = "/" + std::string(900, 'p');
  e.target = e.path = path;
  EXPECT_EQ(of("json", e).find("iotax.cut"), std::string::npos);
  const std::string target = "/" + std::string(5000, 'p');
  e.target = e.path = target;
  EXPECT_GT(of("json", e).size(), 2500U);
}

TEST(JsonLine, PortIsANumberOrLeftOut) {
  AccessEntry e = entry();
  for (const std::string port :
       {"", "0", "080", "65536", "80a", "-1", "99999999999999999999999", "8 0"}) {
    const std::array<CollectedValue, 3> values{CollectedValue{}, CollectedValue{},
                                               CollectedValue{port, true}};
    e.collected = values;
    EXPECT_EQ(of("json", e).find("server.port"), std::string::npos) << port;
  }
}

}  // namespace
}  // namespace iotax::driver
