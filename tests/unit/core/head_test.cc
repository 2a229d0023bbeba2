// Target forms, Host, and what fields say about the message: one line of expectation per text.
#include "core/head.h"

#include <gtest/gtest.h>

#include "core/partial_head.h"

namespace iotax::core {
namespace {

struct TargetCase {
  std::string_view text;
  std::string_view method;
  Fault fault;
  std::string_view path = {}, query = {}, authority = {};
};

TEST(Target, IsSplitOrRefused) {
  const TargetCase cases[]{
      {"/", "GET", Fault::none, "/"},
      {"/a?b?c", "GET", Fault::none, "/a", "b?c"},
      {"//a/../b", "GET", Fault::none, "//a/../b"},
      {"/%41%2f", "GET", Fault::none, "/%41%2f"},
      {"/?%zz\"<\\{", "GET", Fault::none, "/", "%zz\"<\\{"},
      {"/%", "GET", Fault::path_percent},
      {"/%4", "GET", Fault::path_percent},
      {"/%4g", "GET", Fault::path_percent},
      {"/%00", "GET", Fault::path_nul},
      {"/a#b", "GET", Fault::target_fragment},
      {"/a?b#c", "GET", Fault::target_fragment},
      {"/a\"", "GET", Fault::path_octet},
      {"/a\x80", "GET", Fault::path_octet},
      {"/?\x80", "GET", Fault::target_octet},
      {"*", "OPTIONS", Fault::none, "*"},
      {"*", "GET", Fault::target_asterisk},
      {"*?a", "OPTIONS", Fault::target_asterisk},
      {"", "GET", Fault::target_form},
      {"a", "GET", Fault::target_form},
      {"a:80", "GET", Fault::target_form},
      {"http://h", "GET", Fault::none, "", "", "h"},
      {"HTTP://h:1/p?q", "GET", Fault::none, "/p", "q", "h:1"},
      {"http://h?q", "GET", Fault::none, "", "q", "h"},
      {"http://[::1]/", "GET", Fault::none, "/", "", "[::1]"},
      {"http:/h", "GET", Fault::target_form},
      {"https://h/", "GET", Fault::target_https},
      {"ftp://h/", "GET", Fault::target_scheme},
      {"http://u@h/", "GET", Fault::target_userinfo},
      {"http:///p", "GET", Fault::target_host},
      {"http://h#f", "GET", Fault::target_fragment},
  };
  for (const TargetCase& one : cases) {
    Target parts;
    EXPECT_EQ(parse_target(one.text, one.method, parts), one.fault) << one.text;
    if (one.fault != Fault::none) continue;
    EXPECT_EQ(parts.path, one.path) << one.text;
    EXPECT_EQ(parts.query, one.query) << one.text;
    EXPECT_EQ(parts.authority, one.authority) << one.text;
    EXPECT_EQ(parts.asterisk, one.text == "*") << one.text;
  }
}

TEST(Host, IsHostAndPort) {
  for (const std::string_view good :
       {"a", "a.b", "a:", "a:0", "a:65535", "1.2.3.4:80", "[::1]", "[::1]:80", "[v1.a]", "a%20b",
        "a_b~", "[::]", "[1:2:3:4:5:6:7::]", "[::ffff:1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]",
        "[ABCD::]"})
    EXPECT_TRUE(is_host(good)) << good;
  for (const std::string_view bad :
       {"",   ":80",  "a:65536", "a:000080", "a:b", "a:1:2", "a,b",  "a b",   "a/b",   "a@b", "[",
        "[]", "[::1", "[a]",     "[::1]x",   "::1", "a%2",   "a%zz", "[v.a]", "[v1.]", "\x80"})
    EXPECT_FALSE(is_host(bad)) << bad;
  for (const std::string_view bad :
       {"[2001db8::7]", "[::12345]", "[::1::]", "[1::2::3]", "[1:2:3:4:5:6:7]", "[:::]", "[:]",
        "[1:2:3:4:5:6:7:8::]", "[1:2:3:4:5:6:7:]", "[1.2.3.4]", "[::ffff:1.2.3]", "[::01.2.3.4]",
        "[::1.2.3.4:5]", "[fe80::1%25eth0]", "[fe80::1%eth0]"})
    EXPECT_FALSE(is_host(bad)) << bad;
}

TEST(Methods, AreKnownInCapitalsOnly) {
  for (const std::string_view good : {"GET", "HEAD", "M-SEARCH", "QUERY", "CONNECT", "TRACE"})
    EXPECT_TRUE(is_known_method(good));
  for (const std::string_view bad : {"", "get", "GETX", "GE", "SOURCE", "PRI", "DESCRIBE"})
    EXPECT_FALSE(is_known_method(bad)) << bad;
}

Fault add(FieldRules& rules, std::string_view name, std::string_view value,
          FieldRules::Keep expected = FieldRules::Keep::yes) {
  FieldRules::Keep keep{};
  const Fault fault = rules.add(name, value, 7, keep);
  EXPECT_EQ(keep, expected) << name;
  return fault;
}

TEST(FieldRules, SingleFieldsAreRefusedTwice) {
  const std::pair<std::string_view, Fault> singles[]{{"HOST", Fault::host_twice},
                                                     {"Content-Type", Fault::content_type_twice},
                                                     {"authorization", Fault::authorization_twice},
                                                     {"Content-Length", Fault::length_twice}};
  for (const auto& [name, fault] : singles) {
    FieldRules rules;
    EXPECT_EQ(add(rules, name, "1"), Fault::none) << name;
    EXPECT_EQ(add(rules, name, "1"), fault) << name;
  }
  FieldRules rules;
  EXPECT_EQ(add(rules, "Transfer-Encoding", "chunked", FieldRules::Keep::silently_not),
            Fault::none);
  EXPECT_EQ(add(rules, "Transfer-Encoding", "chunked", FieldRules::Keep::silently_not),
            Fault::coding_twice);
}

TEST(FieldRules, LengthAndCodingExcludeEachOtherInBothOrders) {
  FieldRules length_first, coding_first;
  EXPECT_EQ(add(length_first, "Content-Length", "5"), Fault::none);
  EXPECT_EQ(add(length_first, "Transfer-Encoding", "chunked", FieldRules::Keep::silently_not),
            Fault::length_and_coding);
  EXPECT_EQ(add(coding_first, "Transfer-Encoding", "chunked", FieldRules::Keep::silently_not),
            Fault::none);
  EXPECT_EQ(add(coding_first, "Content-Length", "5"), Fault::length_and_coding);
}

TEST(FieldRules, LengthIsZeroOrDigitsWithoutALeadingZero) {
  for (const std::string_view bad :
       {"", "00", "05", "+5", "5,5", "5 5", "0x5", "18446744073709551616"}) {
    FieldRules rules;
    EXPECT_EQ(add(rules, "Content-Length", bad), Fault::length_form) << bad;
  }
  FieldRules rules;
  EXPECT_EQ(add(rules, "Content-Length", "18446744073709551615"), Fault::none);
  EXPECT_EQ(rules.length(), UINT64_MAX);
}

TEST(FieldRules, CodingIsChunkedAlone) {
  for (const std::string_view bad :
       {"", "chunked,", ", chunked", "gzip, chunked", "chunked;q=1", "\"chunked\""}) {
    FieldRules rules;
    EXPECT_EQ(add(rules, "Transfer-Encoding", bad, FieldRules::Keep::silently_not),
              Fault::coding_form)
        << bad;
  }
  for (const std::string_view unknown : {"gzip", "identity", "xchunked"}) {
    FieldRules rules;
    EXPECT_EQ(add(rules, "Transfer-Encoding", unknown, FieldRules::Keep::silently_not),
              Fault::coding_unknown)
        << unknown;
  }
}

TEST(FieldRules, UnderscoresProxyAndFramingFieldsAreNotPassedOn) {
  FieldRules rules;
  EXPECT_EQ(add(rules, "X_Y", "1", FieldRules::Keep::named_not), Fault::none);
  EXPECT_EQ(add(rules, "Content_Length", "1", FieldRules::Keep::named_not), Fault::none);
  EXPECT_EQ(add(rules, "pROXY", "1", FieldRules::Keep::named_not), Fault::none);
  EXPECT_EQ(add(rules, "Trailer", "X", FieldRules::Keep::silently_not), Fault::none);
  EXPECT_FALSE(rules.has_length());
}

TEST(FieldRules, CloseWinsAndHttp10NeedsKeepAlive) {
  const auto persists = [](std::initializer_list<std::string_view> lines, Version version) {
    FieldRules rules;
    for (const std::string_view line : lines)
      EXPECT_EQ(add(rules, "Connection", line), Fault::none);
    return rules.persists(version);
  };
  EXPECT_TRUE(persists({}, Version::http_1_1));
  EXPECT_FALSE(persists({}, Version::http_1_0));
  EXPECT_TRUE(persists({"Keep-Alive"}, Version::http_1_0));
  EXPECT_FALSE(persists({"keep-alive, CLOSE"}, Version::http_1_0));
  EXPECT_FALSE(persists({"keep-alive", " , ,close,"}, Version::http_1_1));
  EXPECT_TRUE(persists({"closed, x-close, \"close\""}, Version::http_1_1));
}

TEST(FieldRules, TheFirstUsableRequestIdCounts) {
  FieldRules rules;
  FieldRules::Keep keep{};
  EXPECT_EQ(rules.add("X-Request-ID", "has space", 0, keep), Fault::none);
  EXPECT_EQ(rules.add("X-Request-ID", std::string(129, 'a'), 1, keep), Fault::none);
  EXPECT_EQ(rules.add("X-Request-ID", "", 2, keep), Fault::none);
  EXPECT_EQ(rules.request_id_index(), FieldRules::kNone);
  EXPECT_EQ(rules.add("x-request-id", std::string(128, 'a'), 3, keep), Fault::none);
  EXPECT_EQ(rules.add("X-Request-ID", "b", 4, keep), Fault::none);
  EXPECT_EQ(rules.request_id_index(), 3U);
}

TEST(FieldRules, OnlyTheKnownExpectationIsKnown) {
  for (const std::string_view bad : {"", "magic", "100-continue, magic", "100-continuee", "100"}) {
    FieldRules rules;
    EXPECT_EQ(add(rules, "Expect", bad), Fault::none);
    EXPECT_TRUE(rules.unknown_expectation()) << bad;
  }
  FieldRules rules;
  EXPECT_EQ(add(rules, "EXPECT", "100-Continue"), Fault::none);
  EXPECT_TRUE(rules.expects_continue());
  EXPECT_FALSE(rules.unknown_expectation());
}

TEST(PartialLine, IsWhatIsRecognised) {
  struct Case {
    std::string_view head, method, target, version;
  };
  const std::string long_target = "/" + std::string(300, 'a');
  const std::string long_line = "GET " + long_target;
  for (const Case& one : {
           Case{"GET /x?y HTTP/1.1\r\nA: b", "GET", "/x?y", "HTTP/1.1"},
           Case{"GET /x HTTP/2.0\r\n", "GET", "/x", "HTTP/2.0"},
           Case{"GET /x HTTP/1.1", "GET", "/x", ""},
           Case{"GET /x HTTP/11\r\n", "GET", "/x", ""},
           Case{"GET /x\r\n", "GET", "/x", ""},
           Case{"GET /x\x01y HTTP/1.1\r\n", "GET", "/x", ""},
           Case{"GET /\x80 HTTP/1.1\r\n", "GET", "/", ""},
           Case{"GET  /x HTTP/1.1\r\n", "GET", "", ""},
           Case{"brew /x HTTP/1.1\r\n", "brew", "/x", "HTTP/1.1"},
           Case{"GET ", "GET", "", ""},
           Case{"GET", "", "", ""},
           Case{"GET\r\n", "", "", ""},
           Case{"G@T / HTTP/1.1\r\n", "", "", ""},
           Case{"\x16\x03\x01", "", "", ""},
           Case{"", "", "", ""},
           Case{long_line, "GET", std::string_view(long_target).substr(0, 256), ""},
       }) {
    const PartialLine line = partial_line(one.head);
    EXPECT_EQ(line.method, one.method) << one.head;
    EXPECT_EQ(line.target, one.target) << one.head;
    EXPECT_EQ(line.version, one.version) << one.head;
  }
  EXPECT_EQ(partial_line(std::string(99, 'A') + " /").method, std::string(32, 'A'));
}

TEST(PartialOrigin, IsThatOfAWholeHeadOnly) {
  const std::string head =
      "broken\r\nX-Forwarded-For: 1.1.1.1 \r\nA@: b\r\n x-forwarded-for: 2\r\n"
      "X-Request-ID: a b\r\nx-request-id:id-1\r\nX_Forwarded_For: 3\r\n"
      "x-forwarded-for:\t4.4.4.4\r\nX-Request-ID: id-2\r\n\r\nX-Forwarded-For: 5.5.5.5\r\n\r\n";
  const PartialOrigin found = partial_origin(head);
  ASSERT_EQ(found.fields.size(), 2U);
  EXPECT_EQ(found.fields[0].value, "1.1.1.1");
  EXPECT_EQ(found.fields[1].value, "4.4.4.4");
  EXPECT_EQ(found.request_id, "id-1");
  const std::size_t end = head.find("\r\n\r\n") + 4;
  for (std::size_t n = 0; n < end; ++n) {
    const PartialOrigin part = partial_origin(std::string_view(head).substr(0, n));
    EXPECT_TRUE(part.fields.empty() && part.request_id.empty()) << n;
  }
}

}  // namespace
}  // namespace iotax::core
