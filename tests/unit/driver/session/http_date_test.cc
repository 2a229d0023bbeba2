// Dates against known days and against the calendar of the C library.
#include "driver/session/http_date.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <ctime>
#include <string>

namespace iotax::driver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(DateCache, WritesImfFixdate) {
  DateCache cache;
  EXPECT_EQ(cache.at(seconds{0}), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(cache.at(seconds{784111777}), "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110 §5.6.7
  EXPECT_EQ(cache.at(seconds{951782399}), "Mon, 28 Feb 2000 23:59:59 GMT");
  EXPECT_EQ(cache.at(seconds{951782400}), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(cache.at(seconds{4102444800}), "Fri, 01 Jan 2100 00:00:00 GMT");
}

TEST(DateCache, ChangesWithTheSecondAlsoBackwards) {
  DateCache cache;
  EXPECT_EQ(cache.at(milliseconds{1999}), "Thu, 01 Jan 1970 00:00:01 GMT");
  EXPECT_EQ(cache.at(milliseconds{2000}), "Thu, 01 Jan 1970 00:00:02 GMT");
  EXPECT_EQ(cache.at(milliseconds{1000}), "Thu, 01 Jan 1970 00:00:01 GMT")
      << "the wall clock was set back";
  EXPECT_EQ(cache.at(milliseconds{-1}), "Wed, 31 Dec 1969 23:59:59 GMT");
}

RC_GTEST_PROP(PropertyDate, AgreesWithTheCLibrary, ()) {
  const auto second =
      *rc::gen::inRange<std::int64_t>(0, 9223372037);  // up to the year 2262, where nanoseconds end
  const auto as_time = static_cast<std::time_t>(second);
  std::tm parts{};
  RC_ASSERT(::gmtime_r(&as_time, &parts) != nullptr);
  std::string expected(64, '\0');
  expected.resize(
      std::strftime(expected.data(), expected.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts));
  DateCache cache;
  RC_ASSERT(cache.at(seconds{second}) == expected);
}

}  // namespace
}  // namespace iotax::driver
