// Properties of generated traffic: splits change nothing, memory stays within its limit, responses
// parse again whatever the application does.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <ostream>

#include "core/output.h"
#include "support/answer_reader.h"
#include "support/core_peer.h"

namespace iotax::core {

static std::ostream& operator<<(std::ostream& out, const Limits& limits) {
  return out << "request line " << limits.request_line_bytes_max << ", field line "
             << limits.field_line_bytes_max << ", head " << limits.head_bytes_max << ", fields "
             << limits.fields_max << ", body " << limits.body_bytes_max << ", chunk line "
             << limits.chunk_line_bytes_max;
}

namespace {

using test::CorePeer;

// ---- what clients send

/// Complete messages and pieces of messages, valid and invalid.
rc::Gen<std::string> fragment() {
  return rc::gen::oneOf(
      rc::gen::element<std::string>(
          "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
          "GET /a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
          "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
          "chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
          "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
          "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n"),
      rc::gen::element<std::string>(
          "GET ", "/ ", "HTTP/1.1", "HTTP/2.0", "\r\n", "\r", "\n", "Host: h\r\n", "A: b\r\n",
          "A_B: c\r\n", " x", "\t", "Content-Length: 5\r\n", "Content-Length:\t5\t\r\n",
          "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Expect: 100-continue\r\n",
          "5\r\nhello\r\n", "5;a\r\n", "0\r\n\r\n", "0\r\n", "%zz", "hello", ":", ";", "\"",
          "PRI * HTTP/2.0\r\n\r\n", "\x16\x03\x01", "\x80"),
      rc::gen::container<std::string>(rc::gen::arbitrary<char>()));
}

rc::Gen<std::string> traffic() {
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(fragment()),
                      [](const std::vector<std::string>& pieces) {
                        std::string all;
                        for (const std::string& piece : pieces) all += piece;
                        return all;
                      });
}

/// A message with one byte replaced, removed or doubled.
rc::Gen<std::string> damaged() {
  return rc::gen::apply(
      [](std::string text, std::size_t at, char octet, int how) {
        if (text.empty()) return text;
        at %= text.size();
        if (how == 0) text[at] = octet;
        if (how == 1) text.erase(at, 1);
        if (how == 2) text.insert(at, 1, text[at]);
        return text + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
      },
      fragment(), rc::gen::arbitrary<std::size_t>(), rc::gen::arbitrary<char>(),
      rc::gen::inRange(0, 3));
}

/// Limits small enough for short messages to reach them.
rc::Gen<Limits> small_limits() {
  return rc::gen::apply(
      [](std::size_t line, std::size_t field, std::size_t head, std::size_t fields,
         std::size_t body, std::size_t chunk) {
        Limits limits;
        limits.request_line_bytes_max = line;
        limits.field_line_bytes_max = field;
        limits.head_bytes_max = head;
        limits.fields_max = fields;
        limits.body_bytes_max = body;
        limits.chunk_line_bytes_max = chunk;
        limits.chunk_extension_bytes_max = chunk;
        limits.trailer_bytes_max = chunk;
        limits.trailers_max = fields;
        return limits;
      },
      rc::gen::inRange<std::size_t>(1, 40), rc::gen::inRange<std::size_t>(1, 40),
      rc::gen::inRange<std::size_t>(1, 120), rc::gen::inRange<std::size_t>(1, 4),
      rc::gen::inRange<std::size_t>(0, 12), rc::gen::inRange<std::size_t>(3, 12));
}

std::string without_continue(std::string output) {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  for (std::size_t at; (at = output.find(kContinue)) != std::string::npos;)
    output.erase(at, kContinue.size());
  return output;
}

struct Seen {
  std::vector<std::string> events;
  std::string output, offending;
  std::uint64_t size_bytes;
  Closing closing;
  bool operator==(const Seen&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Seen& seen) {
    for (const std::string& event : seen.events) out << event << "; ";
    return out << "\noutput " << seen.output << "\noffending " << seen.offending << ", size "
               << seen.size_bytes;
  }
};

Seen play(const Limits& limits, std::string_view bytes, const std::vector<std::size_t>& pieces,
          bool eof) {
  CorePeer peer(limits);
  std::size_t piece = 0, largest = 0;
  while (!bytes.empty()) {
    const std::size_t size = pieces.empty()
                                 ? bytes.size()
                                 : std::min(bytes.size(), 1 + pieces[piece++ % pieces.size()] % 64);
    largest = std::max(largest, size);
    peer.receive(bytes.substr(0, size));
    constexpr std::size_t kDesk = 1024, kSmallestBuffer = 512;
    RC_ASSERT(peer.connection.buffered_bytes() <=
              2 * limits.head_bytes_max + 2 * largest + kDesk + kSmallestBuffer);
    bytes.remove_prefix(size);
  }
  if (eof) peer.eof();
  if (peer.connection.idle()) RC_ASSERT(peer.connection.buffered_bytes() == 0U);
  RC_ASSERT(peer.closed() == (peer.connection.closing() != Closing::no));
  return {peer.events, without_continue(peer.output), peer.offending, peer.rejected.size_bytes,
          peer.connection.closing()};
}

void cuts_change_nothing(const Limits& limits, const std::string& bytes) {
  const auto pieces =
      *rc::gen::container<std::vector<std::size_t>>(rc::gen::arbitrary<std::size_t>());
  const bool eof = *rc::gen::arbitrary<bool>();
  const Seen whole = play(limits, bytes, {}, eof);
  RC_ASSERT(play(limits, bytes, {0}, eof) == whole);
  RC_ASSERT(play(limits, bytes, pieces, eof) == whole);
}

TEST(PropertyCuts, ChangeNothingInTraffic) {
  EXPECT_TRUE(rc::check([] { cuts_change_nothing(Limits{}, *traffic()); }));
}
TEST(PropertyCuts, ChangeNothingInDamagedMessages) {
  EXPECT_TRUE(rc::check([] { cuts_change_nothing(Limits{}, *damaged()); }));
}
TEST(PropertyCuts, ChangeNothingUnderSmallLimits) {
  EXPECT_TRUE(rc::check(
      [] { cuts_change_nothing(*small_limits(), *rc::gen::oneOf(traffic(), damaged())); }));
}

TEST(PropertyLimits, AcceptedRequestsKeepThem) {
  EXPECT_TRUE(rc::check([] {
    const Limits limits = *small_limits();
    CorePeer peer(limits);
    std::uint64_t content = 0;
    peer.on_head = [&](CorePeer& self, RequestId) {
      const Head& head = self.connection.head();
      content = 0;
      RC_ASSERT(head.method.size() + head.target.size() + 10 <= limits.request_line_bytes_max);
      RC_ASSERT(head.fields.size() <= limits.fields_max);
      for (const Field& field : head.fields)
        RC_ASSERT(field.name.size() + 1 + field.value.size() <= limits.field_line_bytes_max);
      if (limits.body_bytes_max != 0) RC_ASSERT(head.content_bytes <= limits.body_bytes_max);
    };
    peer.app = [&](CorePeer& self, RequestId id) {
      if (self.events.size() > 1 && self.events[self.events.size() - 2].starts_with("data "))
        content = self.events[self.events.size() - 2].size() - 5;
      if (limits.body_bytes_max != 0) RC_ASSERT(content <= limits.body_bytes_max);
      self.answer_ok(id);
    };
    peer.receive(*rc::gen::oneOf(traffic(), damaged()));
  }));
}

// ---- what applications do

struct Behavior {
  std::string method, version, status;
  bool keep_alive = false;
  std::optional<std::uint64_t> own, known;
  std::vector<std::string> blocks;
  bool abort = false;
};

rc::Gen<Behavior> behavior() {
  const auto length = rc::gen::maybe(rc::gen::inRange<std::uint64_t>(0, 12));
  return rc::gen::apply(
      [](std::string method, bool old, bool keep, std::string status, rc::Maybe<std::uint64_t> own,
         rc::Maybe<std::uint64_t> known, std::vector<std::string> blocks, bool abort) {
        Behavior made;
        made.method = std::move(method);
        made.version = old ? "1.0" : "1.1";
        made.keep_alive = keep;
        made.status = std::move(status);
        if (own) made.own = *own;
        if (known) made.known = *known;
        made.blocks = std::move(blocks);
        made.abort = abort;
        return made;
      },
      rc::gen::element<std::string>("GET", "HEAD", "POST"), rc::gen::arbitrary<bool>(),
      rc::gen::arbitrary<bool>(),
      rc::gen::element<std::string>("200 OK", "404", "204 No Content", "304 Not Modified",
                                    "205 Reset Content", "999 Own"),
      length, length,
      rc::gen::container<std::vector<std::string>>(
          rc::gen::container<std::string>(rc::gen::inRange('a', 'z'))),
      rc::gen::weightedElement<bool>({{9, false}, {1, true}}));
}

TEST(PropertyResponses, ReadBackAsTheApplicationMeantThem) {
  EXPECT_TRUE(rc::check([] {
    const auto all = *rc::gen::container<std::vector<Behavior>>(behavior());
    CorePeer peer;
    peer.app = nullptr;
    std::vector<std::pair<Behavior, std::string>>
        expected;  // with the body that the client must get
    std::uint64_t id = 0;
    for (const Behavior& one : all) {
      if (peer.closed()) break;
      ++id;
      peer.receive(one.method + " / HTTP/" + one.version + "\r\nHost: h\r\n" +
                   (one.keep_alive         ? "Connection: keep-alive\r\n"
                    : one.version == "1.1" ? ""
                                           : "Connection: x\r\n") +
                   "\r\n");
      std::vector<Field> fields{{"X", "y"}};
      const std::string own = std::to_string(one.own.value_or(0));
      if (one.own) fields.push_back({"Content-Length", own});
      peer.respond(RequestId{id}, one.status, fields, one.known);
      std::string given;
      for (const std::string& block : one.blocks) {
        static_cast<void>(peer.body(RequestId{id}, block));
        given += block;
      }
      Outcome outcome = Outcome::ok;
      if (one.abort)
        peer.connection.abort(RequestId{id});
      else
        outcome = peer.connection.finish(RequestId{id});
      peer.flush();
      const bool bodiless =
          one.method == "HEAD" || one.status.starts_with("204") || one.status.starts_with("304");
      const std::optional<std::uint64_t> declared = one.status.starts_with("205")
                                                        ? std::optional<std::uint64_t>(0)
                                                    : one.own ? one.own
                                                              : one.known;
      if (bodiless) given.clear();
      RC_ASSERT((outcome == Outcome::short_length) ==
                (!one.abort && !bodiless && declared && given.size() < *declared));
      if (declared)
        given.resize(std::min<std::size_t>(given.size(), static_cast<std::size_t>(*declared)));
      if (one.abort || outcome == Outcome::short_length) RC_ASSERT(peer.closed());
      expected.emplace_back(one, given);
    }
    test::AnswerReader reader(peer.output);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto& [one, given] = expected[i];
      const bool last = i + 1 == expected.size();
      if (last && one.abort && reader.rest().empty())
        break;  // none of it was sent: the connection just ends
      const auto answer = reader.next(one.method == "HEAD");
      RC_ASSERT(answer);
      RC_ASSERT(std::to_string(answer->status) == one.status.substr(0, 3));
      RC_ASSERT(answer->content == given);
      const auto connection = answer->fields.find("connection");
      const bool says_close = connection != answer->fields.end() && connection->second == "close";
      if (says_close) RC_ASSERT(last && peer.closed());
      if (!last) RC_ASSERT(answer->complete);
      if (answer->until_close) RC_ASSERT(says_close);
      if (last && one.abort && answer->until_close)
        RC_ASSERT(peer.connection.closing() == Closing::reset);
      if (last && !peer.closed()) RC_ASSERT(answer->complete);
    }
    RC_ASSERT(reader.rest().empty());
  }));
}

TEST(PropertyOutput, ReturnsEachByteOnceAndInOrder) {
  EXPECT_TRUE(rc::check([] {
    Output out;
    const auto pieces = *rc::gen::container<std::vector<std::pair<std::string, int>>>(rc::gen::pair(
        rc::gen::container<std::string>(rc::gen::inRange('a', 'z')), rc::gen::inRange(0, 4)));
    std::string all, got;
    std::size_t steps = 0;
    const auto drain = [&](std::size_t most) {
      std::size_t taken = 0;
      for (const Slice& slice : out.slices()) {
        const std::string text = slice.file_bytes != 0
                                     ? std::string(static_cast<std::size_t>(slice.file_bytes), '#')
                                     : test::text_of(slice.bytes);
        const std::size_t part = std::min(text.size(), most - taken);
        got += text.substr(0, part);
        taken += part;
      }
      out.take(taken);
    };
    for (const auto& [text, kind] : pieces) {
      if (kind == 0) out.add(text);
      if (kind == 1 && !text.empty()) out.refer(test::bytes_of(text));
      if (kind == 2) out.add_file(text.size());
      if (kind == 3) drain(++steps % 5);
      if (kind < 2) all += text;
      if (kind == 2) all += std::string(text.size(), '#');
    }
    drain(SIZE_MAX);
    RC_ASSERT(out.empty());
    RC_ASSERT(got == all);
  }));
}

}  // namespace
}  // namespace iotax::core
