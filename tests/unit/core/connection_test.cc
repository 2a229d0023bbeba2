// Order, pipelining, keep-alive, half-close, 100 (Continue), unread bodies, and memory use.
#include "core/connection.h"

#include <gtest/gtest.h>

#include "support/core_peer.h"

namespace iotax::core {
namespace {

using std::chrono::seconds;
using test::CorePeer;
using Events = std::vector<std::string>;

constexpr std::string_view kGet = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kSecond = "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kPost = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
constexpr std::string_view kExpect =
    "POST /1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

std::string joined(std::string_view one, std::string_view other) {
  return std::string(one) + std::string(other);
}
std::size_t answers(const CorePeer& peer) {
  std::size_t count = 0;
  for (std::size_t at = peer.output.find("HTTP/1.1 200"); at != std::string::npos;
       at = peer.output.find("HTTP/1.1 200", at + 1))
    ++count;
  return count;
}

TEST(Connection, ReportsTheHeadAsReceived) {
  CorePeer peer;
  peer.app = nullptr;
  peer.receive(
      "GET /p%20q?a=b HTTP/1.1\r\nHost: h:80\r\nX-Request-ID: id-1\r\nX-A: \t v \r\nX_B: "
      "no\r\nProxy: no\r\nX-A:w\r\nTrailer: t\r\n\r\n");
  const Head& head = peer.connection.head();
  EXPECT_EQ(head.id, RequestId{1});
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.target, "/p%20q?a=b");
  EXPECT_EQ(head.path, "/p%20q");
  EXPECT_EQ(head.query, "a=b");
  EXPECT_EQ(head.authority, "h:80");
  EXPECT_EQ(head.request_id, "id-1");
  EXPECT_EQ(head.dropped_name, "X_B");
  EXPECT_EQ(head.version, Version::http_1_1);
  EXPECT_EQ(head.content, Content::none);
  std::string fields;
  for (const Field& field : head.fields)
    fields += std::string(field.name) + '=' + std::string(field.value) + ';';
  EXPECT_EQ(fields, "Host=h:80;X-Request-ID=id-1;X-A=v;X-A=w;");
}

TEST(Connection, SplitsTheAbsoluteFormIntoAuthorityAndPath) {
  CorePeer peer;
  peer.app = nullptr;
  peer.receive("GET http://H?q HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(peer.connection.head().path, "/");
  EXPECT_EQ(peer.connection.head().query, "q");
  EXPECT_EQ(peer.connection.head().authority, "H");
  EXPECT_EQ(peer.connection.head().target, "http://H?q");
}

TEST(Connection, ReportsPipelinedRequestsOneAtATime) {
  CorePeer peer;
  peer.app = nullptr;
  peer.receive(joined(kGet, kSecond));
  EXPECT_EQ(peer.events, (Events{"head GET /1", "end"}));
  EXPECT_FALSE(peer.connection.wants_input());
  EXPECT_TRUE(std::holds_alternative<Paused>(peer.connection.step()));
  peer.answer_ok(RequestId{1});
  peer.turn();
  EXPECT_EQ(peer.events, (Events{"head GET /1", "end", "head GET /2", "end"}));
  EXPECT_TRUE(peer.connection.wants_input());
  peer.answer_ok(RequestId{2});
  peer.turn();
  EXPECT_TRUE(peer.connection.idle());
  EXPECT_EQ(answers(peer), 2U);
}

TEST(Connection, KeepsInputThatItDidNotAskFor) {
  CorePeer peer;
  peer.app = nullptr;
  peer.receive(joined(kGet, kSecond.substr(0, 10)));
  for (const char octet : kSecond.substr(10)) peer.receive(std::string(1, octet));
  EXPECT_EQ(peer.connection.head().target, "/1");
  peer.answer_ok(RequestId{1});
  peer.turn();
  EXPECT_EQ(peer.events.back(), "end");
  EXPECT_EQ(peer.connection.head().target, "/2");
}

TEST(Connection, ReportsAFaultAfterThePipelinedRequestsBeforeIt) {
  CorePeer peer;
  peer.receive(joined(joined(kGet, kSecond), "bad\x01 / HTTP/1.1\r\n"));
  EXPECT_EQ(peer.events, (Events{"head GET /1", "end", "head GET /2", "end",
                                 "rejected 400 method: not a token followed by one space"}));
  EXPECT_EQ(answers(peer), 2U);
  EXPECT_LT(peer.output.rfind("HTTP/1.1 200"), peer.output.find("HTTP/1.1 400"));
  EXPECT_EQ(peer.connection.closing(), Closing::after_flush);
}

TEST(Connection, HeadViewsStayValidWhileTheBodyArrives) {
  CorePeer peer;
  peer.app = nullptr;
  peer.receive(
      "POST /stays HTTP/1.1\r\nHost: h\r\nX-A: value\r\nContent-Length: 100000\r\n\r\nfirst");
  const Head head = peer.connection.head();
  for (int i = 0; i < 50; ++i) peer.receive(std::string(1000, 'x'));
  EXPECT_EQ(head.target, "/stays");
  EXPECT_EQ(head.fields[1].value, "value");
}

TEST(Connection, ClosesAfterTheRequestThatSentConnectionClose) {
  CorePeer peer;
  peer.receive(joined("GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", kSecond));
  EXPECT_EQ(peer.events, (Events{"head GET /1", "end"}));
  EXPECT_NE(peer.output.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(peer.connection.closing(), Closing::after_flush);
  peer.receive(kSecond);
  EXPECT_EQ(peer.events.size(), 2U);
}

TEST(Connection, Http10PersistsOnlyWhenAsked) {
  CorePeer asked, silent;
  asked.receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(asked.output.find("Connection: keep-alive\r\n"), std::string::npos);
  EXPECT_TRUE(asked.connection.idle());
  silent.receive("GET / HTTP/1.0\r\n\r\n");
  EXPECT_NE(silent.output.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(silent.closed());
}

TEST(Connection, ClosesAfterTheLastAllowedRequest) {
  Limits limits;
  limits.keep_alive_requests = 2;
  CorePeer peer(limits);
  peer.receive(kGet);
  EXPECT_EQ(peer.output.find("Connection:"), std::string::npos);
  EXPECT_FALSE(peer.closed());
  peer.receive(kSecond);
  EXPECT_NE(peer.output.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(peer.closed());
}

TEST(Connection, AKeepAliveLimitOfZeroMeansNoLimit) {
  Limits limits;
  limits.keep_alive_requests = 0;
  CorePeer peer(limits);
  for (int i = 0; i < 1000; ++i) peer.receive(kGet);
  EXPECT_EQ(answers(peer), 1000U);
  EXPECT_TRUE(peer.connection.idle());
}

TEST(Connection, RespondsToARequestFollowedByAHalfClose) {
  CorePeer peer;
  peer.app = nullptr;
  peer.receive(kGet);
  peer.eof();
  EXPECT_FALSE(peer.closed());
  peer.answer_ok(RequestId{1});
  peer.turn();
  EXPECT_EQ(answers(peer), 1U);
  EXPECT_TRUE(peer.closed());
}

TEST(Connection, AnEmptyReceiveIsNotAnEof) {
  CorePeer peer;
  peer.receive("GET");
  peer.receive("");
  EXPECT_TRUE(peer.events.empty());
  EXPECT_FALSE(peer.closed());
}

TEST(Connection, CloseSoonClosesAnIdleConnectionImmediately) {
  CorePeer peer;
  peer.connection.close_soon();
  EXPECT_EQ(peer.connection.closing(), Closing::after_flush);
}

TEST(Connection, CloseSoonSendsConnectionCloseWithTheNextResponse) {
  CorePeer during, before;
  during.app = nullptr;
  during.receive(kGet);
  during.connection.close_soon();
  EXPECT_FALSE(during.closed());
  during.answer_ok(RequestId{1});
  during.turn();
  EXPECT_NE(during.output.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(during.closed());
  before.receive(kGet.substr(0, 10));
  before.connection.close_soon();
  EXPECT_FALSE(before.closed());
  before.receive(kGet.substr(10));
  EXPECT_EQ(answers(before), 1U);
  EXPECT_TRUE(before.closed());
}

// ---- 100 (Continue)

TEST(Continue, IsSentWithTheHeadWhenNoBodyHasArrived) {
  CorePeer peer;
  peer.receive(kExpect);
  EXPECT_EQ(peer.output, "HTTP/1.1 100 Continue\r\n\r\n");
  peer.receive("hello");
  EXPECT_EQ(peer.events.back(), "end");
  EXPECT_EQ(answers(peer), 1U);
}

TEST(Continue, IsNotSentWhenTheBodyArrivedWithTheHead) {
  CorePeer peer;
  peer.receive(joined(kExpect, "h"));
  EXPECT_EQ(peer.output, "");
}

TEST(Continue, IsNeverSentForHttp10OrWithoutABody) {
  CorePeer old, empty;
  old.receive("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_FALSE(old.connection.head().expects_continue);
  EXPECT_EQ(old.output, "");
  empty.app = nullptr;
  empty.receive("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(empty.output, "");
}

TEST(Continue, IsSentWhenTheApplicationFirstReads) {
  CorePeer peer({}, Policy{false});
  peer.receive(kExpect);
  EXPECT_EQ(peer.output, "");
  peer.connection.continue_100(RequestId{2});
  peer.flush();
  EXPECT_EQ(peer.output, "");
  peer.connection.continue_100(RequestId{1});
  peer.connection.continue_100(RequestId{1});
  peer.flush();
  EXPECT_EQ(peer.output, "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST(Continue, AFinalResponseInsteadOfItClosesTheConnection) {
  CorePeer peer({}, Policy{false});
  peer.receive(kExpect);
  peer.answer_ok(RequestId{1});
  peer.turn();
  EXPECT_NE(peer.output.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(peer.closed());
}

TEST(Continue, IsNotSentAfterTheHeadOfTheResponse) {
  CorePeer peer({}, Policy{false});
  peer.receive(kExpect);
  peer.respond(RequestId{1}, "200 OK", {}, 2);
  peer.connection.continue_100(RequestId{1});
  peer.flush();
  EXPECT_EQ(peer.output.find("100 Continue"), std::string::npos);
}

// ---- unread bodies

TEST(Discard, AnUnreadBodyIsNeverParsedAsARequest) {
  CorePeer peer({}, Policy{false});
  peer.on_head = [](CorePeer& self, RequestId id) { self.answer_ok(id); };
  peer.app = nullptr;
  peer.receive(kPost);
  EXPECT_FALSE(peer.connection.idle());
  peer.receive("GET /");
  EXPECT_TRUE(peer.connection.idle());
  peer.receive(kSecond);
  EXPECT_EQ(peer.events, (Events{"head POST /1", "head GET /2"}));
  EXPECT_EQ(answers(peer), 2U);
}

TEST(Input, MayArriveBeforeEarlierInputWasParsed) {
  CorePeer peer;
  const std::string two =
      std::string(kSecond) + "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe";
  peer.connection.receive(test::bytes_of(two));
  EXPECT_TRUE(std::holds_alternative<HeadEnd>(peer.connection.step()));
  EXPECT_TRUE(std::holds_alternative<BodyEnd>(peer.connection.step()));
  peer.answer_ok(RequestId{1});
  EXPECT_TRUE(std::holds_alternative<HeadEnd>(peer.connection.step()));
  peer.receive("llo");
  EXPECT_EQ(peer.events, (Events{"data hello", "end"}));
}

TEST(Discard, ClosesWhenTheBodyExceedsTheLimit) {
  for (const unsigned over : {0U, 1U}) {
    Limits limits;
    limits.drain_bytes_max = 100;
    CorePeer peer(limits, Policy{false});
    peer.on_head = [](CorePeer& self, RequestId id) { self.answer_ok(id); };
    peer.receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(100 + over) +
                 "\r\n\r\n");
    EXPECT_EQ(peer.closed(), over == 1) << over;
    EXPECT_EQ(peer.output.find("Connection: close") != std::string::npos, over == 1) << over;
  }
}

TEST(Discard, AConnectionThatSentCloseClosesEvenIfTheBodyArrivesBeforeTheResponseEnds) {
  Limits limits;
  limits.drain_bytes_max = 4;
  CorePeer peer(limits, Policy{false});
  peer.app = nullptr;
  peer.on_head = [](CorePeer& self, RequestId id) { self.respond(id, "200 OK", {}, 2); };
  peer.receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
  EXPECT_NE(peer.output.find("Connection: close"), std::string::npos);
  peer.receive("hello" + std::string(kSecond));
  static_cast<void>(peer.body(RequestId{1}, "ok"));
  EXPECT_EQ(peer.connection.finish(RequestId{1}), Outcome::ok);
  peer.turn();
  EXPECT_TRUE(peer.closed());
  EXPECT_EQ(answers(peer), 1U);
}

TEST(Discard, ClosesWhenChunksExceedTheLimit) {
  for (const std::size_t over : {0U, 1U}) {
    Limits limits;
    limits.drain_bytes_max = 100;
    CorePeer peer(limits, Policy{false});
    peer.on_head = [](CorePeer& self, RequestId id) { self.answer_ok(id); };
    peer.receive("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer.receive("5a\r\n" + std::string(90, 'x') + "\r\n");
    EXPECT_FALSE(peer.closed());
    peer.receive(over == 0 ? "0\r\n" : "0;a\r\n");
    EXPECT_EQ(peer.closed(), over == 1);
  }
}

TEST(Discard, TheLimitHoldsForABodyThatArrivesWithItsEnd) {
  for (const std::size_t over : {0U, 1U}) {
    Limits limits;
    limits.drain_bytes_max = 100;
    CorePeer peer(limits, Policy{false});
    peer.on_head = [](CorePeer& self, RequestId id) { self.answer_ok(id); };
    peer.receive("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0;" +
                 std::string(94 + over, 'x') + "\r\n\r\n" + std::string(kSecond));
    EXPECT_EQ(peer.closed(), over == 1);
    EXPECT_EQ(answers(peer), 2U - over);
  }
}

TEST(Discard, CallsAfterTheEndOfTheResponseAreIgnored) {
  CorePeer peer({}, Policy{false});
  peer.app = nullptr;
  peer.on_head = [](CorePeer& self, RequestId id) { self.answer_ok(id); };
  peer.receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
  const std::string answer = peer.output;
  constexpr RequestId kFirst{1};
  peer.connection.abort(kFirst);
  peer.connection.respond_instead(kFirst, ServerResponse());
  EXPECT_EQ(peer.connection.finish(kFirst), Outcome::ok);
  EXPECT_EQ(peer.body(kFirst, "late"), Outcome::ok);
  EXPECT_EQ(peer.output, answer);
  EXPECT_FALSE(peer.closed());
  peer.receive("hello" + std::string(kSecond));
  EXPECT_EQ(answers(peer), 2U);
}

TEST(Discard, AFaultInDiscardedInputHasNoResponse) {
  CorePeer peer({}, Policy{false});
  peer.on_head = [](CorePeer& self, RequestId id) { self.answer_ok(id); };
  peer.receive("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz");
  EXPECT_EQ(peer.rejected.fault, Fault::chunk_size);
  EXPECT_EQ(peer.rejected.status, 0);
  EXPECT_EQ(peer.rejected.in_body_of, RequestId::none);
  EXPECT_EQ(answers(peer), 1U);
  EXPECT_TRUE(peer.closed());
}

// ---- faults in the body while the application runs

TEST(BodyFault, TheServerRejectsTheRequestBeforeAResponse) {
  CorePeer peer({}, Policy{false});
  peer.receive(kPost);
  peer.eof();
  EXPECT_EQ(peer.rejected.fault, Fault::eof_in_body);
  EXPECT_EQ(peer.rejected.in_body_of, RequestId{1});
  EXPECT_EQ(peer.events.back(), "rejected 400 connection ended inside the body");
  EXPECT_TRUE(peer.closed());
  peer.answer_ok(RequestId{1});
  EXPECT_TRUE(peer.connection.output().empty());
}

TEST(BodyFault, TheApplicationMayRespondItself) {
  CorePeer peer({}, Policy{false});
  peer.answer_refusals = false;
  peer.receive(kPost);
  peer.eof();
  EXPECT_FALSE(peer.closed());
  peer.answer_ok(RequestId{1});
  EXPECT_TRUE(peer.closed());
  peer.connection.reject(ServerResponse{});
  peer.flush();
  EXPECT_EQ(answers(peer), 1U);
  EXPECT_EQ(peer.output.find("500"), std::string::npos);
  EXPECT_NE(peer.output.find("Connection: close"), std::string::npos);
}

TEST(BodyFault, ARejectionReplacesADeferredHead) {
  CorePeer peer({}, Policy{false});
  peer.receive(kPost);
  peer.respond(RequestId{1}, "200 OK");
  peer.eof();
  EXPECT_EQ(peer.output.substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(answers(peer), 0U);
}

TEST(BodyFault, AfterTheHeadTheResponseContinuesAndTheConnectionCloses) {
  CorePeer peer({}, Policy{false});
  peer.receive(kPost);
  peer.respond(RequestId{1}, "200 OK", {}, 4);
  peer.body(RequestId{1}, "ab");
  peer.eof();
  EXPECT_EQ(peer.rejected.status, 0);
  EXPECT_EQ(peer.rejected.in_body_of, RequestId{1});
  EXPECT_FALSE(peer.closed());
  peer.body(RequestId{1}, "cd");
  EXPECT_EQ(peer.connection.finish(RequestId{1}), Outcome::ok);
  EXPECT_EQ(peer.output.substr(peer.output.size() - 4), "abcd");
  EXPECT_TRUE(peer.closed());
}

// ---- memory

TEST(Memory, AnIdleConnectionHoldsNoBuffer) {
  CorePeer peer;
  EXPECT_EQ(peer.connection.buffered_bytes(), 0U);
  peer.receive(joined(kGet, kSecond.substr(0, 5)));
  EXPECT_GT(peer.connection.buffered_bytes(), 0U);
  peer.receive(kSecond.substr(5));
  EXPECT_TRUE(peer.connection.idle());
  EXPECT_EQ(peer.connection.buffered_bytes(), 0U);
}

TEST(Memory, IsBoundedByTheHeadLimitAndOneReceive) {
  const Limits limits;
  constexpr std::size_t kReceive = 16 * 1024;
  CorePeer peer;
  peer.app = nullptr;
  peer.receive("GET / HTTP/1.1\r\nHost: h\r\n");
  for (int i = 0; i < 3; ++i) peer.receive("A: " + std::string(15000, 'a') + "\r\n");
  peer.receive("\r\n" + std::string(kReceive - 2, 'G'));
  EXPECT_EQ(peer.events.back(), "end");
  EXPECT_LE(peer.connection.buffered_bytes(), 2 * limits.head_bytes_max + kReceive);
  CorePeer body;
  body.app = nullptr;
  body.receive("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
  for (int i = 0; i < 50; ++i) body.receive(std::string(kReceive, 'x'));
  EXPECT_LE(body.connection.buffered_bytes(), 1032U) << "content is passed on, not gathered";
}

// ---- bodies

TEST(Body, ChunksAreDecodedHoweverTheyAreSplit) {
  const std::string request =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n";
  const std::string all = request + request + std::string(kGet);
  for (std::size_t step = 1; step <= all.size(); ++step) {
    CorePeer peer;
    for (std::size_t at = 0; at < all.size(); at += step)
      peer.receive(std::string_view(all).substr(at, step));
    EXPECT_EQ(peer.events, (Events{"head POST /", "data hello!", "end", "head POST /",
                                   "data hello!", "end", "head GET /1", "end"}))
        << step;
  }
}

TEST(Body, AFaultRightAfterDataIsReportedImmediatelyHoweverTheInputIsSplit) {
  const std::string_view head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string_view content = "3\r\nabc\n";  // a chunk that does not end with CR LF
  for (std::size_t cut = 0; cut < content.size(); ++cut) {
    CorePeer peer;
    peer.receive(std::string(head) + std::string(content.substr(0, cut)));
    peer.receive(content.substr(cut));
    EXPECT_EQ(peer.rejected.fault, Fault::chunk_data_end) << cut;
  }
}

}  // namespace
}  // namespace iotax::core
