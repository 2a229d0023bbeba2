// Validation of a response's status and fields.
#include "core/response_fields.h"

#include <gtest/gtest.h>

#include <set>

namespace iotax::core {
namespace {

TEST(CheckStatus, AcceptsThreeDigitsAndAReasonPhrase) {
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
  return ResponseFields().add({name, value});
}

TEST(ResponseFields, RejectInjectionAndFramingFields) {
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

TEST(ResponseFields, ReportWhichFieldsTheyContain) {
  ResponseFields fields;
  EXPECT_EQ(fields.add({"X", " y\t"}), HeadFault::none);
  EXPECT_FALSE(fields.has_date() || fields.has_server() || fields.length());
  EXPECT_EQ(fields.length_line(), "");
  EXPECT_EQ(fields.add({"date", "d"}), HeadFault::none);
  EXPECT_EQ(fields.add({"Content-Length", "18446744073709551615"}), HeadFault::none);
  EXPECT_EQ(fields.add({"SERVER", ""}), HeadFault::none);
  EXPECT_TRUE(fields.has_date() && fields.has_server());
  EXPECT_TRUE(fields.has("x") && fields.has("content-LENGTH") && fields.has("Server"));
  EXPECT_FALSE(fields.has("") || fields.has("y") || fields.has("dat"));
  EXPECT_EQ(fields.length(), UINT64_MAX);
  EXPECT_EQ(fields.length_line(), "Content-Length: 18446744073709551615\r\n");
  EXPECT_EQ(fields.lines(),
            "X: y\r\ndate: d\r\nContent-Length: 18446744073709551615\r\nSERVER: \r\n");
  fields.clear();
  EXPECT_EQ(fields.lines(), "");
  EXPECT_FALSE(fields.has_date() || fields.has_server() || fields.length());
}

TEST(ResponseFields, RejectDifferentContentLengths) {
  ResponseFields fields;
  EXPECT_EQ(fields.add({"Content-Length", "3"}), HeadFault::none);
  EXPECT_EQ(fields.add({"content-length", "3"}), HeadFault::none);
  EXPECT_EQ(fields.add({"content-length", "4"}), HeadFault::length_conflict);
  EXPECT_EQ(fields.lines(), "Content-Length: 3\r\n");
}

TEST(Explain, HasADistinctTextForEachFault) {
  std::set<std::string_view> texts;
  for (int number = 0; number <= static_cast<int>(HeadFault::length_conflict); ++number)
    EXPECT_TRUE(texts.insert(explain(static_cast<HeadFault>(number))).second);
  EXPECT_FALSE(texts.contains(""));
}

}  // namespace
}  // namespace iotax::core
