// Every limit at n-1, n and n+1, in one piece and byte by byte; and every deadline one nanosecond
// before it and at it.
#include "core/limits.h"

#include <gtest/gtest.h>

#include "support/core_peer.h"

namespace iotax::core {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::chunked;
using test::CorePeer;

constexpr Duration kTick{1};

/// The fault of `bytes` under `limits`, the same as a whole and byte by byte; none if the request
/// got its response.
Fault outcome(const Limits& limits, std::string_view bytes) {
  CorePeer whole(limits), cut(limits);
  whole.receive(bytes);
  for (const char octet : bytes) cut.receive(std::string(1, octet));
  EXPECT_EQ(whole.events, cut.events);
  EXPECT_EQ(whole.output, cut.output);
  if (whole.rejected.fault == Fault::none) {
    EXPECT_EQ(whole.output.substr(0, 12), "HTTP/1.1 200") << bytes;
  }
  return whole.rejected.fault;
}

std::string x(std::size_t count) { return std::string(count, 'x'); }

TEST(Limits, RequestLineExcludesItsLineEnd) {
  Limits limits;
  limits.request_line_bytes_max = 40;
  const auto of = [](std::size_t bytes) {
    return "GET /" + x(bytes - 14) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  };
  EXPECT_EQ(outcome(limits, of(39)), Fault::none);
  EXPECT_EQ(outcome(limits, of(40)), Fault::none);
  EXPECT_EQ(outcome(limits, of(41)), Fault::request_line_limit);
  EXPECT_EQ(outcome(limits, "GET /" + x(36)), Fault::request_line_limit);
  EXPECT_EQ(outcome(limits, x(41)), Fault::request_line_limit) << "an endless method";
}

TEST(Limits, FieldLineExcludesItsLineEnd) {
  Limits limits;
  limits.request_line_bytes_max = 14;
  limits.field_line_bytes_max = 30;
  const auto of = [](std::size_t bytes) {
    return "GET / HTTP/1.1\r\nHost: h\r\nA: " + x(bytes - 3) + "\r\n\r\n";
  };
  EXPECT_EQ(outcome(limits, of(29)), Fault::none);
  EXPECT_EQ(outcome(limits, of(30)), Fault::none);
  EXPECT_EQ(outcome(limits, of(31)), Fault::field_line_limit);
  EXPECT_EQ(outcome(limits, "GET / HTTP/1.1\r\nHost: h\r\n" + x(31)), Fault::field_line_limit);
  EXPECT_EQ(outcome(limits, "GET / HTTP/1.1\r\nHost: h\r\nA:" + std::string(29, ' ') + "\r\n\r\n"),
            Fault::field_line_limit)
      << "white space counts";
  EXPECT_EQ(outcome(limits, "GET / HTTP/1.1\r\nHost: h\r\nA: " + x(28) + "\x01"),
            Fault::field_line_limit)
      << "of two faults the first octet wins";
  EXPECT_EQ(outcome(limits, "GET / HTTP/1.1\r\nHost: h\r\nA: \x01" + x(28)), Fault::field_value);
}

TEST(Limits, HeadIncludesItsLastLineEnd) {
  Limits limits;
  const std::string_view start = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
  limits.head_bytes_max = 60;
  const auto of = [&](std::size_t bytes) {
    return std::string(start) + x(bytes - start.size() - 4) + "\r\n\r\n";
  };
  EXPECT_EQ(outcome(limits, of(59)), Fault::none);
  EXPECT_EQ(outcome(limits, of(60)), Fault::none);
  EXPECT_EQ(outcome(limits, of(61)), Fault::head_limit);
  EXPECT_EQ(outcome(limits, "\r\n" + of(60)), Fault::none)
      << "the empty line before it does not count";
}

TEST(Limits, NumberOfFieldsIncludesDroppedOnes) {
  Limits limits;
  limits.fields_max = 4;
  const auto of = [](int more) {
    std::string head = "GET / HTTP/1.1\r\nHost: h\r\nX_Y: 1\r\n";
    for (int i = 0; i < more; ++i) head += "A: b\r\n";
    return head + "\r\n";
  };
  EXPECT_EQ(outcome(limits, of(1)), Fault::none);
  EXPECT_EQ(outcome(limits, of(2)), Fault::none);
  EXPECT_EQ(outcome(limits, of(3)), Fault::fields_limit);
}

TEST(Limits, BodyIsRejectedByItsContentLength) {
  Limits limits;
  limits.body_bytes_max = 5;
  const auto of = [](std::size_t bytes) {
    return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" +
           x(bytes);
  };
  EXPECT_EQ(outcome(limits, of(4)), Fault::none);
  EXPECT_EQ(outcome(limits, of(5)), Fault::none);
  EXPECT_EQ(outcome(limits, of(6)), Fault::body_limit);
  limits.body_bytes_max = 0;
  EXPECT_EQ(outcome(limits, of(6)), Fault::none);
  limits.stored_bytes_max = 5;
  EXPECT_EQ(outcome(limits, of(5)), Fault::none);
  EXPECT_EQ(outcome(limits, of(6)), Fault::body_storage);
}

TEST(Limits, ChunkedBodyIsRejectedAtTheChunkSize) {
  Limits limits;
  limits.body_bytes_max = 5;
  EXPECT_EQ(outcome(limits, chunked("3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")), Fault::none);
  EXPECT_EQ(outcome(limits, chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")), Fault::none);
  EXPECT_EQ(outcome(limits, chunked("3\r\nabc\r\n3\r\n")), Fault::body_limit);
  const std::string over_64_bits = chunked("3\r\nabc\r\nffffffffffffffff\r\n");
  EXPECT_EQ(outcome(limits, over_64_bits), Fault::body_limit);
  limits.body_bytes_max = 0;
  EXPECT_EQ(outcome(limits, over_64_bits), Fault::chunk_size);
  EXPECT_EQ(outcome(limits, chunked("6\r\nabcdef\r\n0\r\n\r\n")), Fault::none);
}

TEST(Limits, ChunkSizesHaveAtMost16Digits) {
  const Limits limits;
  EXPECT_EQ(outcome(limits, chunked("0000000000000001\r\nx\r\n0\r\n\r\n")), Fault::none);
  EXPECT_EQ(outcome(limits, chunked("00000000000000001\r\nx\r\n0\r\n\r\n")), Fault::chunk_size);
}

TEST(Limits, ChunkLineIncludesItsLineEnd) {
  Limits limits;
  limits.chunk_line_bytes_max = 20;
  const auto of = [](std::size_t bytes) {
    return chunked("1;" + x(bytes - 4) + "\r\na\r\n0\r\n\r\n");
  };
  EXPECT_EQ(outcome(limits, of(19)), Fault::none);
  EXPECT_EQ(outcome(limits, of(20)), Fault::none);
  EXPECT_EQ(outcome(limits, of(21)), Fault::chunk_line_limit);
}

TEST(Limits, ChunkExtensionsCountTogether) {
  Limits limits;
  limits.chunk_extension_bytes_max = 10;
  const auto of = [](std::size_t bytes) {
    return chunked("1;aaaa\r\na\r\n1;" + x(bytes - 6) + "\r\na\r\n0\r\n\r\n");
  };
  EXPECT_EQ(outcome(limits, of(9)), Fault::none);
  EXPECT_EQ(outcome(limits, of(10)), Fault::none);
  EXPECT_EQ(outcome(limits, of(11)), Fault::chunk_extensions_limit);
}

TEST(Limits, TrailersIncludeTheirLastLineEnd) {
  Limits limits;
  limits.trailer_bytes_max = 20;
  const auto of = [](std::size_t bytes) { return chunked("0\r\nA: " + x(bytes - 7) + "\r\n\r\n"); };
  EXPECT_EQ(outcome(limits, of(19)), Fault::none);
  EXPECT_EQ(outcome(limits, of(20)), Fault::none);
  EXPECT_EQ(outcome(limits, of(21)), Fault::trailer_limit);
}

TEST(Limits, TrailersOverTheirNumberAreRejected) {
  Limits limits;
  limits.trailers_max = 2;
  EXPECT_EQ(outcome(limits, chunked("0\r\nA: b\r\n\r\n")), Fault::none);
  EXPECT_EQ(outcome(limits, chunked("0\r\nA: b\r\nA: b\r\n\r\n")), Fault::none);
  EXPECT_EQ(outcome(limits, chunked("0\r\nA: b\r\nA: b\r\nA: b\r\n\r\n")), Fault::trailers_limit);
}

// ---- deadlines

constexpr std::string_view kShortGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kLongPost = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n";

TEST(Deadline, IdleBeforeTheFirstRequestAndBetweenRequests) {
  CorePeer peer;
  EXPECT_EQ(peer.connection.deadline(), peer.now + seconds{15});
  peer.pass(seconds{14});
  peer.receive(kShortGet);
  EXPECT_EQ(peer.connection.deadline(), peer.now + seconds{15});
  peer.pass(seconds{15} - kTick);
  EXPECT_FALSE(peer.closed());
  peer.pass(kTick);
  EXPECT_EQ(peer.rejected.fault, Fault::idle_timeout);
  EXPECT_EQ(peer.rejected.status, 0);
  EXPECT_TRUE(peer.closed());
  EXPECT_EQ(peer.output.find("408"), std::string::npos);
}

TEST(Deadline, IdleDoesNotRunWhileAResponseIsUnsent) {
  CorePeer peer;
  peer.take_output = false;
  peer.receive(kShortGet);
  EXPECT_EQ(peer.connection.deadline(), kNever);
  peer.pass(seconds{100});
  peer.take_output = true;
  peer.flush();
  EXPECT_EQ(peer.connection.deadline(), peer.now + seconds{15});
}

TEST(Deadline, AnEmptyLineDoesNotStartAHead) {
  CorePeer peer;
  peer.receive("\r\n");
  EXPECT_TRUE(peer.connection.idle());
  EXPECT_EQ(peer.connection.deadline(), peer.now + seconds{15});
}

TEST(Deadline, OfAHeadRunsFromItsFirstByte) {
  CorePeer peer;
  peer.pass(seconds{5});
  const Instant first = peer.now;
  for (int i = 0; i < 9; ++i) {
    peer.receive(kShortGet.substr(static_cast<std::size_t>(i), 1));
    EXPECT_EQ(peer.connection.deadline(), first + seconds{10});
    peer.pass(seconds{1});
  }
  peer.pass(seconds{1} - kTick);
  EXPECT_FALSE(peer.closed());
  peer.pass(kTick);
  EXPECT_EQ(peer.rejected.fault, Fault::head_timeout);
  EXPECT_EQ(peer.output.substr(0, 12), "HTTP/1.1 408");
}

TEST(Deadline, OfAPipelinedHeadRunsFromTheResponseBeforeIt) {
  CorePeer peer;
  peer.app = nullptr;
  peer.receive(std::string(kShortGet) + "GET /2");
  peer.pass(seconds{60});
  peer.answer_ok(RequestId{1});
  peer.turn();
  EXPECT_EQ(peer.connection.deadline(), peer.now + seconds{10});
}

TEST(Deadline, OfABodyDependsOnItsGapsAndItsRate) {
  CorePeer peer;
  peer.receive(kLongPost);
  EXPECT_EQ(peer.connection.deadline(), peer.now + seconds{10});
  peer.pass(seconds{9});
  peer.receive("x");
  EXPECT_EQ(peer.connection.deadline(), peer.now + seconds{1} + milliseconds{2});
  peer.pass(seconds{1} + milliseconds{2} - kTick);
  EXPECT_FALSE(peer.closed());
  peer.pass(kTick);
  EXPECT_EQ(peer.rejected.fault, Fault::body_rate);
  EXPECT_EQ(peer.rejected.in_body_of, RequestId{1});
  EXPECT_EQ(peer.output.substr(0, 12), "HTTP/1.1 408");
}

TEST(Deadline, AStreamedBodyNeedsTheHigherRate) {
  Limits limits;
  limits.receive_timeout = {};
  CorePeer peer(limits, Policy{false});
  peer.receive(kLongPost);
  peer.receive("xxxx");
  EXPECT_EQ(peer.connection.deadline(),
            peer.now + seconds{10} + Duration(4LL * 1000000000 / (64 * 1024)));
  peer.pass(seconds{11});
  EXPECT_EQ(peer.rejected.fault, Fault::streaming_rate);
}

TEST(Deadline, InputOfTheSameTurnIsHandledBeforeIt) {
  CorePeer peer;
  peer.pass(seconds{14});
  peer.now += seconds{1};
  peer.receive(kShortGet);
  EXPECT_EQ(peer.events.back(), "end");
}

TEST(Deadline, NoneWhileTheApplicationRuns) {
  CorePeer peer;
  peer.app = nullptr;
  peer.receive(kShortGet);
  EXPECT_EQ(peer.connection.deadline(), kNever);
  peer.pass(seconds{100000});
  EXPECT_FALSE(peer.closed());
}

TEST(Deadline, NoneForTimeoutsOfZero) {
  Limits limits;
  limits.keep_alive = limits.receive_timeout = {};
  limits.rate_bytes_min = 0;
  CorePeer peer(limits);
  EXPECT_EQ(peer.connection.deadline(), kNever);
  peer.receive("GET");
  EXPECT_EQ(peer.connection.deadline(), kNever);
  peer.receive(kLongPost.substr(0, 0));
  CorePeer body(limits);
  body.receive(kLongPost);
  EXPECT_EQ(body.connection.deadline(), kNever);
}

TEST(Deadline, DoesNotRunWhileTheClockIsPaused) {
  CorePeer peer;
  peer.receive(kLongPost);
  peer.pass(seconds{4});
  peer.connection.pause_clock(true);
  EXPECT_EQ(peer.connection.deadline(), kNever);
  peer.pass(seconds{1000});
  EXPECT_FALSE(peer.closed());
  peer.connection.pause_clock(false);
  EXPECT_EQ(peer.connection.deadline(), peer.now + seconds{6});
}

}  // namespace
}  // namespace iotax::core
