// The text of log lines.
#include "driver/log/access_line.h"

#include <gtest/gtest.h>

#include <string>

namespace iotax::driver {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

AccessEntry entry() {
  AccessEntry e;
  e.client = "127.0.0.1:35694";
  e.method = "GET";
  e.target = "/x?y";
  e.version = "HTTP/1.1";
  e.status = 200;
  e.bytes = 154;
  e.duration = microseconds{2345};
  e.request_id = "REQUEST-ID";
  return e;
}

TEST(FormatAccess, WritesTheDocumentedLine) {
  EXPECT_EQ(format_access(entry()),
            R"(127.0.0.1:35694 - "GET /x?y HTTP/1.1" 200 OK 154B 2.3ms REQUEST-ID)");
}

TEST(FormatAccess, OmitsTheReasonPhraseForADisconnectedClient) {
  AccessEntry e = entry();
  e.status = 499;
  e.bytes = 0;
  e.duration = seconds{3};
  EXPECT_EQ(format_access(e),
            R"(127.0.0.1:35694 - "GET /x?y HTTP/1.1" 499 0B 3000.0ms REQUEST-ID)");
}

TEST(FormatAccess, WritesADashForUnknownValues) {
  AccessEntry e = entry();
  e.status = 0;
  e.version = {};
  EXPECT_EQ(format_access(e), R"(127.0.0.1:35694 - "GET /x?y" - 154B 2.3ms REQUEST-ID)");
  e.target = {};
  e.status = -1;
  EXPECT_EQ(format_access(e), R"(127.0.0.1:35694 - "GET" - 154B 2.3ms REQUEST-ID)");
  e.method = {};
  e.status = 408;
  EXPECT_EQ(format_access(e), R"(127.0.0.1:35694 - "-" 408 Request Timeout 154B 2.3ms REQUEST-ID)");
}

TEST(FormatAccess, EscapesTextFromTheClient) {
  AccessEntry e = entry();
  e.method = "G\"T";
  e.target = "/a\\b\x1b[2J\xc3\xbc\n";
  EXPECT_EQ(
      format_access(e),
      R"(127.0.0.1:35694 - "G\x22T /a\x5cb\x1b[2J\xc3\xbc\x0a HTTP/1.1" 200 OK 154B 2.3ms REQUEST-ID)");
}

TEST(AppendEscaped, WritesPrintableAsciiOnly) {
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  std::string line = "kept: ";
  append_escaped(line, every);
  EXPECT_EQ(line.substr(0, 14), "kept: \\x00\\x01");
  EXPECT_NE(line.find(" !\\x22#$"), std::string::npos);
  EXPECT_NE(line.find("}~\\x7f\\x80"), std::string::npos);
  EXPECT_EQ(line.size(), 6U + 93U + 4U * (256U - 93U)) << "95 printable ones less two";
}

}  // namespace
}  // namespace iotax::driver
