#include "core/partial_head.h"

#include <gtest/gtest.h>

#include <string>

namespace iotax::core {
namespace {

TEST(PartialLine, HasTheRecognizedParts) {
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

TEST(PartialOrigin, NeedsACompleteHead) {
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
