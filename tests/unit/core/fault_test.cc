// One input for every fault, rejected alike as a whole, split in two at every position, and byte by
// byte; and the text of each fault.
#include "core/fault.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "support/core_peer.h"

namespace iotax::core {
namespace {

using std::chrono::seconds;
using test::chunked;
using test::CorePeer;

constexpr std::string_view kHost = "Host: h\r\n";

std::string get(std::string_view target, std::string_view fields = {}) {
  return "GET " + std::string(target) + " HTTP/1.1\r\n" + std::string(kHost) + std::string(fields) +
         "\r\n";
}
std::string field(std::string_view line) { return get("/", std::string(line) + "\r\n"); }
std::string repeated(std::string_view text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

struct Provocation {
  Fault fault;
  std::string bytes;
  bool eof = false;
  Duration wait{};
};

const std::vector<Provocation>& provocations() {
  static const std::vector<Provocation> all{
      {Fault::idle_timeout, "", false, seconds{15}},
      {Fault::eof_between, "", true},
      {Fault::leading_line_end, "\r\n\r\nG"},
      {Fault::tls_handshake, "\x16\x03\x01"},
      {Fault::http2_preface, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {Fault::proxy_header, "PROXY TCP4 192.0.2.1 192.0.2.2 5555 80\r\n"},
      {Fault::method_form, "GET: / HTTP/1.1\r\n"},
      {Fault::method_unknown, "get / HTTP/1.1\r\n"},
      {Fault::method_refused, "CONNECT h:443 HTTP/1.1\r\n"},
      {Fault::request_line_form, "GET / HTTP/1.1 \r\n"},
      {Fault::request_line_limit, "GET /" + std::string(9000, 'a')},
      {Fault::version_missing, "GET /\r\n"},
      {Fault::version_form, "GET / http/1.1\r\n"},
      {Fault::version_unsupported, "GET / HTTP/2.0\r\n"},
      {Fault::target_form, "GET a HTTP/1.1\r\n"},
      {Fault::target_asterisk, "GET * HTTP/1.1\r\n"},
      {Fault::target_octet, "GET /?\x80 HTTP/1.1\r\n"},
      {Fault::target_fragment, "GET /#a HTTP/1.1\r\n"},
      {Fault::path_octet, "GET /\"a HTTP/1.1\r\n"},
      {Fault::path_percent, "GET /%zz HTTP/1.1\r\n"},
      {Fault::path_nul, "GET /%00 HTTP/1.1\r\n"},
      {Fault::target_scheme, "GET ftp://h/ HTTP/1.1\r\n"},
      {Fault::target_https, "GET https://h/ HTTP/1.1\r\n"},
      {Fault::target_userinfo, "GET http://u@h/ HTTP/1.1\r\n"},
      {Fault::target_host, "GET http:///a HTTP/1.1\r\n"},
      {Fault::target_host_differs, get("http://other/")},
      {Fault::line_end, "GET / HTTP/1.1\nHost: h\n\n"},
      {Fault::field_name, field("A : b")},
      {Fault::field_value, field("A: \x01")},
      {Fault::field_fold, field("A: b\r\n c")},
      {Fault::field_line_limit, field("A: " + std::string(17000, 'b'))},
      {Fault::fields_limit, get("/", repeated("A: b\r\n", 100))},
      {Fault::head_limit, get("/", repeated("A: " + std::string(15000, 'b') + "\r\n", 5))},
      {Fault::host_missing, "GET / HTTP/1.1\r\n\r\n"},
      {Fault::host_twice, field("Host: h")},
      {Fault::host_form, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
      {Fault::content_type_twice, get("/", "Content-Type: a\r\nContent-Type: a\r\n")},
      {Fault::authorization_twice, get("/", "Authorization: a\r\nAuthorization: a\r\n")},
      {Fault::expectation, field("Expect: magic")},
      {Fault::length_form, field("Content-Length: +5")},
      {Fault::length_twice, get("/", "Content-Length: 5\r\nContent-Length: 5\r\n")},
      {Fault::length_and_coding, get("/", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
      {Fault::coding_form, field("Transfer-Encoding: gzip, chunked")},
      {Fault::coding_unknown, field("Transfer-Encoding: gzip")},
      {Fault::coding_twice,
       get("/", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {Fault::coding_http_1_0, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {Fault::body_limit, field("Content-Length: 5200000")},
      {Fault::body_storage, field("Content-Length: 1000000")},
      {Fault::chunk_size, chunked("+5\r\n")},
      {Fault::chunk_extension, chunked("5;\r\n")},
      {Fault::chunk_line_end, chunked("5\nhello")},
      {Fault::chunk_data_end, chunked("5\r\nhelloX")},
      {Fault::chunk_line_limit, chunked("5;" + std::string(1100, 'a'))},
      {Fault::chunk_extensions_limit,
       chunked(repeated("1;" + std::string(1000, 'a') + "\r\nx\r\n", 17))},
      {Fault::trailer_form, chunked("0\r\nA : b\r\n")},
      {Fault::trailer_forbidden, chunked("0\r\nHost: h\r\n\r\n")},
      {Fault::trailer_limit, chunked("0\r\nA: " + std::string(17000, 'b'))},
      {Fault::trailers_limit, chunked("0\r\n" + repeated("A: b\r\n", 65) + "\r\n")},
      {Fault::eof_in_head, "GET / HT", true},
      {Fault::eof_in_body, field("Content-Length: 5") + "hell", true},
      {Fault::head_timeout, "GET / HT", false, seconds{10}},
      {Fault::body_timeout, field("Content-Length: 5") + "hell", false, seconds{10}},
      {Fault::body_rate, field("Content-Length: 5") + "hell", false, seconds{11}},
      {Fault::streaming_rate, field("Content-Length: 5") + "hell", false, seconds{11}},
  };
  return all;
}

/// The peer after the provocation arrived in pieces that end at `cuts`.
std::unique_ptr<CorePeer> play(const Provocation& one, const std::set<std::size_t>& cuts) {
  Limits limits;
  if (one.fault == Fault::body_storage) limits.stored_bytes_max = 999'999;
  const bool streaming = one.fault == Fault::streaming_rate;
  if (one.fault == Fault::body_rate || streaming) limits.receive_timeout = {};
  auto peer = std::make_unique<CorePeer>(limits, Policy{!streaming});
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    peer->receive(std::string_view(one.bytes).substr(from, cut - from));
    from = cut;
  }
  peer->receive(std::string_view(one.bytes).substr(from));
  if (one.eof) peer->eof();
  if (one.wait != Duration{}) peer->pass(one.wait);
  return peer;
}

TEST(Fault, EachHasARequestThatCausesIt) {
  std::set<Fault> provoked{Fault::none};
  for (const Provocation& one : provocations()) provoked.insert(one.fault);
  for (int number = 0; number < kFaults; ++number)
    EXPECT_TRUE(provoked.contains(static_cast<Fault>(number)))
        << reason(static_cast<Fault>(number));
}

TEST(Fault, EachIsReportedHoweverTheInputIsSplit) {
  for (const Provocation& one : provocations()) {
    SCOPED_TRACE(reason(one.fault));
    const auto whole = play(one, {});
    ASSERT_EQ(whole->rejected.fault, one.fault) << reason(whole->rejected.fault);
    EXPECT_TRUE(whole->closed());
    EXPECT_LE(whole->offending.size(), 80U);
    std::vector<std::set<std::size_t>> ways(one.bytes.empty() ? 0 : 1);
    for (std::size_t i = 1; i < one.bytes.size(); ++i) {
      if (one.bytes.size() < 1000) ways.push_back({i});
      ways.front().insert(i);
    }
    for (const auto& cuts : ways) {
      const auto cut = play(one, cuts);
      ASSERT_EQ(cut->rejected.fault, one.fault)
          << "cut at " << *cuts.begin() << ": " << reason(cut->rejected.fault);
      ASSERT_EQ(cut->events, whole->events) << "cut at " << *cuts.begin();
      ASSERT_EQ(cut->offending, whole->offending) << "cut at " << *cuts.begin();
      ASSERT_EQ(cut->rejected.size_bytes, whole->rejected.size_bytes);
      ASSERT_EQ(cut->output, whole->output);
    }
  }
}

TEST(Fault, ALoneLineFeedBeforeARequestIsNotASecondEmptyLine) {
  for (const std::string_view alone : {"\n", "\r\r", "\rG", "\nGET / HTTP/1.1\r\n"}) {
    CorePeer peer;
    peer.receive(alone);
    EXPECT_EQ(peer.rejected.fault, Fault::line_end) << alone;
  }
  for (const std::string_view second : {"\r\n\n", "\r\n\rG", "\r\n\r\n\r", "\r\n\r\nG"}) {
    CorePeer peer;
    peer.receive(second);
    EXPECT_EQ(peer.rejected.fault, Fault::leading_line_end) << second;
  }
}

TEST(Fault, ASecondEmptyLineMayBeginAProxyHeader) {
  CorePeer peer;
  peer.receive("\r\n\r\n");
  EXPECT_EQ(peer.rejected.fault, Fault::none) << "undecided";
  peer.receive({"\0", 1});
  EXPECT_EQ(peer.rejected.fault, Fault::proxy_header);
  for (const std::string_view cut : {"\r\n\r", "\r\n\r\n"}) {
    CorePeer ended;
    ended.receive(cut);
    ended.eof();
    EXPECT_EQ(ended.rejected.fault, Fault::leading_line_end);
  }
}

TEST(Fault, EachHasAStatusOfThePolicyAndADistinctText) {
  std::set<std::string_view> reasons;
  const std::set<int> statuses{0, 400, 405, 408, 413, 414, 417, 421, 431, 501, 505};
  for (int number = 0; number < kFaults; ++number) {
    const auto fault = static_cast<Fault>(number);
    EXPECT_TRUE(statuses.contains(status_of(fault))) << reason(fault);
    EXPECT_FALSE(reason(fault).empty());
    EXPECT_TRUE(reasons.insert(reason(fault)).second) << reason(fault);
  }
}

TEST(Fault, DescribesSizesWithTheOption) {
  Limits limits;
  const auto described = [&limits](Fault fault, std::uint64_t size = 0) {
    return describe(Rejected{fault, status_of(fault), {}, size, RequestId::none}, limits);
  };
  EXPECT_EQ(described(Fault::body_limit, 5'200'000), "body of 5.2 MB is over --limit-body 1 MiB");
  EXPECT_EQ(described(Fault::body_limit, UINT64_MAX), "body of 18.4 EB is over --limit-body 1 MiB");
  EXPECT_EQ(described(Fault::body_limit, 999), "body of 999 B is over --limit-body 1 MiB");
  EXPECT_EQ(described(Fault::body_limit, 999'999), "body of 1.0 MB is over --limit-body 1 MiB");
  EXPECT_EQ(described(Fault::body_storage, 5'200'000),
            "body of 5.2 MB is larger than can be stored (--spool-max)");
  EXPECT_EQ(described(Fault::request_line_limit),
            "request line is over --limit-request-line 8 KiB");
  EXPECT_EQ(described(Fault::field_line_limit), "field line is over --limit-field 16 KiB");
  EXPECT_EQ(described(Fault::head_limit), "request head is over --limit-head 64 KiB");
  EXPECT_EQ(described(Fault::fields_limit), "number of field lines is over --limit-fields 100");
  EXPECT_EQ(described(Fault::head_timeout),
            "request head was not complete in time (--receive-timeout 10 s)");
  EXPECT_EQ(described(Fault::body_rate), "body: arrived too slowly (--min-rate 500 B/s)");
  EXPECT_EQ(described(Fault::streaming_rate),
            "body: arrived too slowly for a call that reads it (--no-request-buffering 64 KiB/s)");
  EXPECT_EQ(described(Fault::path_percent), "path: \"%\" is not followed by two hex digits");
  EXPECT_EQ(described(Fault::tls_handshake), "TLS handshake on a plain HTTP port: use http://");
  limits.receive_timeout = std::chrono::milliseconds{1500};
  EXPECT_NE(described(Fault::head_timeout).find("--receive-timeout 1500 ms"), std::string::npos);
}

TEST(Fault, EveryOptionIsNamedByItsDescription) {
  const Limits limits;
  for (int number = 0; number < kFaults; ++number) {
    const auto fault = static_cast<Fault>(number);
    const std::string text =
        describe(Rejected{fault, status_of(fault), {}, 1, RequestId::none}, limits);
    EXPECT_NE(text.find(option_of(fault)), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace iotax::core
