// Responses as bytes: every framing, split and truncated responses, server responses, interim
// responses, files, large blocks.
#include <gtest/gtest.h>

#include "support/core_peer.h"

namespace iotax::core {
namespace {

using test::CorePeer;
constexpr RequestId kFirst{1};

std::unique_ptr<CorePeer> asked(std::string_view method = "GET", std::string_view version = "1.1",
                                std::string_view fields = "Host: h\r\n") {
  auto peer = std::make_unique<CorePeer>();
  peer->app = nullptr;
  peer->receive(std::string(method) + " / HTTP/" + std::string(version) + "\r\n" +
                std::string(fields) + "\r\n");
  return peer;
}

/// The output from respond() with `status` on.
std::string answered(CorePeer& peer, std::string_view status, std::vector<Field> fields,
                     std::optional<std::uint64_t> known,
                     std::initializer_list<std::string_view> blocks) {
  peer.respond(kFirst, status, std::move(fields), known);
  for (const std::string_view block : blocks) static_cast<void>(peer.body(kFirst, block));
  static_cast<void>(peer.connection.finish(kFirst));
  peer.flush();
  return peer.output;
}

TEST(Response, WritesTheServersFieldsBeforeTheUnchangedOnesOfTheApplication) {
  const auto peer = asked();
  const ResponseFields fields(
      std::vector<Field>{{"x-LOWER", " v "}, {"Content-Type", "text/plain"}, {"x-lower", ""}});
  ResponseHead head;
  head.status = "404";
  head.fields = &fields;
  head.date = test::kDate;
  head.server = "iotax";
  head.content_bytes = 2;
  peer->connection.respond(kFirst, head);
  EXPECT_EQ(peer->body(kFirst, "ok"), Outcome::complete);
  EXPECT_EQ(peer->connection.finish(kFirst), Outcome::ok);
  EXPECT_EQ(peer->output,
            "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: "
            "iotax\r\nContent-Length: 2\r\n"
            "x-LOWER: v\r\nContent-Type: text/plain\r\nx-lower: \r\n\r\nok");
  EXPECT_TRUE(peer->connection.idle());
}

TEST(Response, DateAndServerOfTheApplicationReplaceTheServers) {
  const auto peer = asked();
  const ResponseFields fields(std::vector<Field>{{"DATE", "d"}, {"Server", "s"}});
  ResponseHead head;
  head.status = "200 OK";
  head.fields = &fields;
  head.date = test::kDate;
  head.server = "iotax";
  head.content_bytes = 0;
  peer->connection.respond(kFirst, head);
  peer->flush();
  EXPECT_EQ(peer->output, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDATE: d\r\nServer: s\r\n\r\n");
}

TEST(Response, TheRequestIdIsAddedUnlessTheApplicationHasTheField) {
  for (const bool own : {false, true}) {
    const auto peer = asked();
    const ResponseFields fields(std::vector<Field>{{own ? "x-id" : "x-idea", "own"}});
    ResponseHead head;
    head.status = "200 OK";
    head.fields = &fields;
    head.request_id = {"X-Id", "id-7"};
    peer->connection.respond(kFirst, head);
    static_cast<void>(peer->body(kFirst, "ok"));
    static_cast<void>(peer->connection.finish(kFirst));
    EXPECT_EQ(peer->output.find("HTTP/1.1 200 OK\r\nX-Id: id-7\r\n") == 0, !own) << peer->output;
  }
}

TEST(Response, ABodyOfUnknownLengthIsChunkedForHttp11) {
  EXPECT_EQ(answered(*asked(), "200 OK", {{"X", "y"}}, {},
                     {"", "hello", "", std::string_view("0123456789abcdef!")}),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: "
            "y\r\n\r\n5\r\nhello\r\n11\r\n0123456789abcdef!\r\n0\r\n\r\n");
}

TEST(Response, NothingIsSentBeforeTheFirstBlock) {
  const auto peer = asked();
  peer->respond(kFirst, "200 OK");
  EXPECT_TRUE(peer->connection.output().empty());
  EXPECT_EQ(peer->body(kFirst, ""), Outcome::ok);
  EXPECT_TRUE(peer->connection.output().empty());
}

TEST(Response, AnEndBeforeAnyBlockGivesContentLengthZero) {
  EXPECT_EQ(answered(*asked(), "200 OK", {}, {}, {""}),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const auto old = asked("GET", "1.0", "Connection: keep-alive\r\n");
  EXPECT_EQ(answered(*old, "200 OK", {}, {}, {}),
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(old->connection.idle());
}

TEST(Response, ABodyOfUnknownLengthEndsWithTheConnectionForHttp10) {
  const auto peer = asked("GET", "1.0", "Connection: keep-alive\r\n");
  EXPECT_EQ(answered(*peer, "200 OK", {}, {}, {"a", "b"}),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab");
  EXPECT_EQ(peer->connection.closing(), Closing::after_flush);
}

TEST(Response, HeadRequests204And304HaveNoBody) {
  EXPECT_EQ(answered(*asked("HEAD"), "200 OK", {{"Content-Length", "5"}}, {}, {"hello"}),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(answered(*asked("HEAD"), "200 OK", {}, {}, {"hello"}), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(answered(*asked("HEAD"), "200 OK", {}, {}, {}), "HTTP/1.1 200 OK\r\n\r\n")
      << "no invented 0";
  EXPECT_EQ(answered(*asked("HEAD"), "200 OK", {}, 3, {"abc"}),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(answered(*asked(), "204 No Content", {{"Content-Length", "5"}}, {}, {"hello"}),
            "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(answered(*asked(), "304", {{"Content-Length", "5"}}, {}, {"hello"}),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(answered(*asked(), "205 Reset Content", {}, {}, {"hello"}),
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n");
}

TEST(Response, AnEmptyBodyNeedsNoBlock) {
  for (const bool head : {true, false}) {
    const auto peer = asked(head ? "HEAD" : "GET");
    peer->respond(kFirst, head ? "200 OK" : "304 Not Modified");
    EXPECT_EQ(peer->body(kFirst, ""), Outcome::ok);
    EXPECT_EQ(peer->body(kFirst, "x"), Outcome::complete);
    EXPECT_EQ(peer->connection.finish(kFirst), Outcome::ok);
    EXPECT_TRUE(peer->connection.idle());
  }
}

TEST(Response, BytesBeyondTheLengthAreDiscarded) {
  const auto peer = asked();
  peer->respond(kFirst, "200 OK", {{"Content-Length", "5"}});
  EXPECT_EQ(peer->body(kFirst, "abc"), Outcome::ok);
  EXPECT_EQ(peer->body(kFirst, "defg"), Outcome::over_length);
  EXPECT_EQ(peer->body(kFirst, "h"), Outcome::over_length);
  EXPECT_EQ(peer->connection.body_given(), 5U);
  EXPECT_FALSE(peer->connection.is_short());
  EXPECT_EQ(peer->connection.finish(kFirst), Outcome::ok);
  EXPECT_EQ(peer->output, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
  EXPECT_TRUE(peer->connection.idle());
}

TEST(Response, ABodyShorterThanItsLengthIsVisiblyTruncated) {
  const auto peer = asked();
  peer->respond(kFirst, "200 OK", {}, 5);
  EXPECT_EQ(peer->body(kFirst, "abc"), Outcome::ok);
  EXPECT_EQ(peer->connection.body_given(), 3U);
  EXPECT_TRUE(peer->connection.is_short());
  EXPECT_EQ(peer->connection.finish(kFirst), Outcome::short_length);
  EXPECT_EQ(peer->connection.closing(), Closing::after_flush);
}

TEST(Response, EqualContentLengthsAreMerged) {
  EXPECT_EQ(answered(*asked(), "200 OK",
                     {{"Content-Length", "2"}, {"X", "y"}, {"content-length", "2"}}, {}, {"ok"}),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok");
}

TEST(Abort, TruncatesChunkedAndCountedBodies) {
  for (const std::optional<std::uint64_t> known :
       {std::optional<std::uint64_t>{}, std::optional<std::uint64_t>{9}}) {
    const auto peer = asked();
    peer->respond(kFirst, "200 OK", {}, known);
    static_cast<void>(peer->body(kFirst, "part"));
    peer->connection.abort(kFirst);
    peer->flush();
    EXPECT_EQ(peer->connection.closing(), Closing::after_flush);
    EXPECT_EQ(peer->output.find("0\r\n\r\n"), std::string::npos);
    EXPECT_NE(peer->output.find("part"), std::string::npos);
  }
}

TEST(Abort, ResetsTheConnectionThatDelimitsABody) {
  const auto peer = asked("GET", "1.0", "");
  peer->respond(kFirst, "200 OK");
  static_cast<void>(peer->body(kFirst, "part"));
  peer->connection.abort(kFirst);
  EXPECT_EQ(peer->connection.closing(), Closing::reset);
}

TEST(Abort, KeepsEarlierResponses) {
  CorePeer peer;
  peer.take_output = false;
  peer.app = nullptr;
  peer.receive("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
  peer.answer_ok(kFirst);
  peer.turn();
  peer.respond(RequestId{2}, "200 OK");
  peer.connection.body(RequestId{2}, test::bytes_of("x"));
  peer.connection.abort(RequestId{2});
  peer.take_output = true;
  peer.flush();
  EXPECT_EQ(peer.output.find("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), 0U);
}

TEST(Response, CallsWithTheIdOfAnotherRequestAreIgnored) {
  const auto peer = asked();
  for (const RequestId id : {RequestId::none, RequestId{2}}) {
    peer->respond(id, "200 OK", {}, 1);
    EXPECT_EQ(peer->body(id, "x"), Outcome::ok);
    EXPECT_EQ(peer->connection.finish(id), Outcome::ok);
    peer->connection.abort(id);
    peer->connection.respond_instead(id, ServerResponse{});
    peer->connection.inform(id, 103, {});
  }
  EXPECT_TRUE(peer->connection.output().empty());
  peer->answer_ok(kFirst);
  peer->answer_ok(kFirst);
  peer->flush();
  EXPECT_EQ(peer->output, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

TEST(Response, LargeBlocksAreReferencedAndSmallOnesCopied) {
  const auto peer = asked();
  const std::string small(kCopyBytesMax, 's'), large(kCopyBytesMax + 1, 'l');
  peer->take_output = false;
  peer->respond(kFirst, "200 OK");
  peer->connection.body(kFirst, test::bytes_of(small));
  peer->connection.body(kFirst, test::bytes_of(large));
  const auto slices = peer->connection.output();
  ASSERT_EQ(slices.size(), 3U);
  EXPECT_EQ(static_cast<const void*>(slices[1].bytes.data()), large.data());
  EXPECT_EQ(slices[1].bytes.size(), large.size());
  EXPECT_EQ(test::text_of(slices[2].bytes), "\r\n");
}

TEST(Response, FilesAndBlocksAreSentInOrder) {
  const auto peer = asked();
  peer->respond(kFirst, "200 OK", {}, 10);
  EXPECT_EQ(peer->body(kFirst, "ab"), Outcome::ok);
  EXPECT_EQ(peer->connection.body_file(kFirst, 5), Outcome::ok);
  EXPECT_EQ(peer->connection.body_file(kFirst, 4), Outcome::over_length);
  EXPECT_EQ(peer->connection.finish(kFirst), Outcome::ok);
  peer->flush();
  EXPECT_EQ(peer->file_bytes, 8U);
  const auto head = asked("HEAD");
  head->respond(kFirst, "200 OK", {}, 10);
  EXPECT_EQ(head->connection.body_file(kFirst, 10), Outcome::complete);
  head->flush();
  EXPECT_EQ(head->file_bytes, 0U);
}

TEST(Inform, IsSentBeforeTheResponseAndNeverToHttp10) {
  const ResponseFields link(std::vector<Field>{{"Link", "</a.css>; rel=preload"}});
  const auto peer = asked();
  peer->connection.inform(kFirst, 103, link);
  peer->respond(kFirst, "200 OK", {}, 0);
  peer->connection.inform(kFirst, 103, link);
  static_cast<void>(peer->connection.finish(kFirst));
  peer->flush();
  EXPECT_EQ(peer->output,
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 "
            "OK\r\nContent-Length: 0\r\n\r\n");
  const auto old = asked("GET", "1.0", "");
  old->connection.inform(kFirst, 103, link);
  EXPECT_TRUE(old->connection.output().empty());
}

TEST(ServerResponse, IsTextWithTheRequestId) {
  const auto peer = asked();
  ServerResponse answer;
  answer.status = 503;
  answer.sentence = "too many requests are waiting";
  answer.request_id = "id-7";
  answer.date = test::kDate;
  answer.server = "iotax";
  answer.request_id_header = "X-Id";
  answer.retry_after_s = 2;
  peer->connection.respond_instead(kFirst, answer);
  peer->flush();
  EXPECT_EQ(
      peer->output,
      "HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: "
      "iotax\r\nX-Id: id-7\r\nConnection: close\r\n"
      "Retry-After: 2\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 47\r\n\r\n"
      "too many requests are waiting\nRequest ID: id-7\n");
  EXPECT_EQ(peer->connection.closing(), Closing::after_flush);
}

TEST(ServerResponse, RespondsToOptionsAsteriskAndContinues) {
  const auto peer = std::make_unique<CorePeer>();
  peer->app = [](CorePeer& self, RequestId id) {
    EXPECT_TRUE(self.connection.head().asterisk);
    ServerResponse answer;
    answer.status = 204;
    answer.close = false;
    self.connection.respond_instead(id, answer);
  };
  peer->receive("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(
      peer->output,
      "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n\r\n");
  EXPECT_TRUE(peer->connection.idle());
}

TEST(ServerResponse, NamesTheMethodsWith405) {
  CorePeer peer;
  peer.receive("TRACE / HTTP/1.1\r\n");
  EXPECT_NE(peer.output.find("405 Method Not Allowed\r\nConnection: close\r\nAllow: GET, HEAD"),
            std::string::npos);
}

TEST(ServerResponse, HasNoBodyForHead) {
  const auto peer = asked("HEAD");
  ServerResponse answer;
  answer.sentence = "it broke";
  peer->connection.respond_instead(kFirst, answer);
  peer->flush();
  EXPECT_EQ(peer->output,
            "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: text/plain; "
            "charset=utf-8\r\n"
            "Content-Length: 9\r\n\r\n");
}

TEST(ServerResponse, HasNoBodyForARejectedHeadRequest) {
  const auto refused = [](std::string_view octets) {
    CorePeer peer;
    for (const char octet : octets) peer.receive({&octet, 1});
    return peer.output.substr(peer.output.find("\r\n\r\n") + 4);
  };
  EXPECT_EQ(refused("HEAD / HTTP/1.1\r\n\r\n"), "");
  EXPECT_EQ(refused("HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"), "");
  EXPECT_NE(refused("HEADER / HTTP/1.1\r\n\r\n"), "");
  CorePeer peer;
  peer.receive("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n\n");
  EXPECT_NE(peer.output.find("\r\n\r\nline does not end in CR LF"), std::string::npos)
      << "what is refused before a method was sent is no HEAD: " << peer.output;
}

TEST(ResponseDeathTest, AnInvalidOrderOfCallsAborts) {
  const auto peer = asked();
  EXPECT_DEATH(static_cast<void>(peer->connection.finish(kFirst)),
               "response: no row for finish in state pending");
  EXPECT_DEATH(static_cast<void>(peer->connection.body(kFirst, test::bytes_of("x"))),
               "response: no row for data in state pending");
  EXPECT_DEATH(peer->connection.reject(ServerResponse{}), "internal error");
  peer->respond(kFirst, "200 OK");
  EXPECT_DEATH(peer->connection.respond_instead(kFirst, ServerResponse{}),
               "response: no row for server_response in state head_deferred");
  EXPECT_DEATH(peer->respond(kFirst, "200 OK"),
               "response: no row for defer in state head_deferred");
}

}  // namespace
}  // namespace iotax::core
