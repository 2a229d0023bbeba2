// What may stand in an answer's head, and the framing that follows from its facts.
#include "core/response.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/framing.h"

namespace iotax::core {
namespace {

TEST(CheckStatus, TakesThreeDigitsAndAPhrase) {
  for (const std::string_view good : {"200 OK", "200", "200 ", "404 Not Found", "999 \xE9"})
    EXPECT_EQ(check_status(good), HeadFault::none) << good;
  for (const std::string_view bad : {"", "20", "2000", "OK", "200OK", "+20 OK", "20x OK"})
    EXPECT_EQ(check_status(bad), HeadFault::status_form) << bad;
  EXPECT_EQ(check_status("099 Low"), HeadFault::status_range);
  EXPECT_EQ(check_status("103 Early Hints"), HeadFault::status_interim);
  for (const std::string_view bad : {"200 O\r\nK", "200 O\nK", "200 \x7F", "200\tOK", "200 O\tK"})
    EXPECT_EQ(check_status(bad), HeadFault::status_control) << bad;
}

HeadFault added(std::string_view name, std::string_view value) {
  return AnswerFields().add({name, value});
}

TEST(AnswerFields, RefuseWhatWouldInjectOrFrame) {
  EXPECT_EQ(added("X-A", "b\tc \xE9"), HeadFault::none);
  EXPECT_EQ(added("X-A", ""), HeadFault::none);
  for (const std::string_view bad : {"", "X A", "X:", "X\r\n", "\xE9", "content\rlength"})
    EXPECT_EQ(added(bad, "v"), HeadFault::name_token) << bad;
  for (const std::string_view bad : {"a\r\nB: c", "a\n", "\r", "\x7F", "\x01", "long enough\n"})
    EXPECT_EQ(added("X", bad), HeadFault::value_control) << bad;
  EXPECT_EQ(added("X", std::string_view("a\0b", 3)), HeadFault::value_control);
  for (const std::string_view hop :
       {"Connection", "keep-alive", "Proxy-Authenticate", "PROXY-AUTHORIZATION", "TE", "Trailer",
        "Trailers", "Transfer-Encoding", "Upgrade"})
    EXPECT_EQ(added(hop, "x"), HeadFault::hop_by_hop) << hop;
  for (const std::string_view bad : {"", "-1", "+3", "3,3", "0x3", "99999999999999999999"})
    EXPECT_EQ(added("content-length", bad), HeadFault::length_form) << bad;
  EXPECT_EQ(added("Content-Length", " 3 "), HeadFault::none);
}

TEST(AnswerFields, AnswerForWhatTheyHold) {
  AnswerFields fields;
  EXPECT_EQ(fields.add({"X", " y\t"}), HeadFault::none);
  EXPECT_FALSE(fields.has_date() || fields.has_server() || fields.length());
  EXPECT_EQ(fields.length_line(), "");
  EXPECT_EQ(fields.add({"date", "d"}), HeadFault::none);
  EXPECT_EQ(fields.add({"Content-Length", "18446744073709551615"}), HeadFault::none);
  EXPECT_EQ(fields.add({"SERVER", ""}), HeadFault::none);
  EXPECT_TRUE(fields.has_date() && fields.has_server());
  EXPECT_EQ(fields.length(), UINT64_MAX);
  EXPECT_EQ(fields.length_line(), "Content-Length: 18446744073709551615\r\n");
  EXPECT_EQ(fields.lines(),
            "X: y\r\ndate: d\r\nContent-Length: 18446744073709551615\r\nSERVER: \r\n");
  fields.clear();
  EXPECT_EQ(fields.lines(), "");
  EXPECT_FALSE(fields.has_date() || fields.has_server() || fields.length());
}

TEST(AnswerFields, LengthsMayRepeatButNotDiffer) {
  AnswerFields fields;
  EXPECT_EQ(fields.add({"Content-Length", "3"}), HeadFault::none);
  EXPECT_EQ(fields.add({"content-length", "3"}), HeadFault::none);
  EXPECT_EQ(fields.add({"content-length", "4"}), HeadFault::length_conflict);
  EXPECT_EQ(fields.lines(), "Content-Length: 3\r\n");
}

TEST(Explain, SaysSomethingOfItsOwnForEachFault) {
  std::set<std::string_view> texts;
  for (int number = 0; number <= static_cast<int>(HeadFault::length_conflict); ++number)
    EXPECT_TRUE(texts.insert(explain(static_cast<HeadFault>(number))).second);
  EXPECT_FALSE(texts.contains(""));
}

/// IANA, HTTP Status Code Registry.
constexpr std::pair<int, std::string_view> kRegistered[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

TEST(ReasonPhrase, IsTheRegisteredOne) {
  for (int status = 0; status < 1000; ++status) {
    const auto* const row =
        std::find_if(std::begin(kRegistered), std::end(kRegistered),
                     [status](const auto& registered) { return registered.first == status; });
    EXPECT_EQ(reason_phrase(status), row != std::end(kRegistered) ? row->second : "") << status;
  }
}

TEST(Framing, FollowsFromTheStrongestFact) {
  const auto made = [](int status, bool head, std::optional<std::uint64_t> own,
                       std::optional<std::uint64_t> known) {
    return decide({status, head, own, known});
  };
  const std::optional<std::uint64_t> none;
  EXPECT_EQ(made(200, false, none, none).framing, Framing::undecided);
  EXPECT_EQ(made(200, false, 5, 3).length, 5U);
  EXPECT_TRUE(made(200, false, 5, 3).keep_own_length);
  EXPECT_EQ(made(200, false, none, 3).add_length, 3U);
  EXPECT_EQ(made(200, false, none, 0).add_length, 0U);
  for (const std::optional<std::uint64_t> own : {none, std::optional<std::uint64_t>(5)}) {
    EXPECT_EQ(made(204, false, own, 0).framing, Framing::none);
    EXPECT_FALSE(made(204, false, own, 0).keep_own_length || made(204, false, own, 0).add_length);
    EXPECT_EQ(made(304, false, own, 0).framing, Framing::none);
    EXPECT_EQ(made(304, false, own, 0).keep_own_length, own.has_value());
    EXPECT_FALSE(made(304, false, own, 0).add_length);
    EXPECT_EQ(made(205, false, own, none).add_length, 0U);
    EXPECT_FALSE(made(205, false, own, none).keep_own_length);
    EXPECT_EQ(made(200, true, own, none).framing, Framing::none);
    EXPECT_EQ(made(200, true, own, none).keep_own_length, own.has_value());
  }
  EXPECT_EQ(made(200, true, none, 3).add_length, 3U);
  EXPECT_FALSE(made(200, true, none, 0).add_length) << "a 0 is never invented for HEAD";
  EXPECT_EQ(decide_late(Version::http_1_1, false).framing, Framing::chunked);
  EXPECT_EQ(decide_late(Version::http_1_0, false).framing, Framing::until_close);
  EXPECT_EQ(decide_late(Version::http_1_0, true).add_length, 0U);
}

}  // namespace
}  // namespace iotax::core
