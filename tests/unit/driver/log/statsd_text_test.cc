#include "driver/log/statsd_text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace iotax::driver {
namespace {

using namespace std::chrono_literals;

std::string request(const StatsdText& text, int status, core::Duration took) {
  std::string lines;
  text.request(lines, status, took);
  return lines;
}

std::string log_lines(const StatsdText& text) {
  std::string lines;
  for (const Level level :
       {Level::debug, Level::info, Level::warning, Level::error, Level::critical})
    text.log_line(lines, level);
  return lines;
}

/// The datagrams of `lines`, which end with a line end.
std::vector<std::string> datagrams(std::string_view lines) {
  std::vector<std::string> found;
  while (!lines.empty()) {
    found.emplace_back(StatsdText::first_datagram(lines));
    lines.remove_prefix(found.back().size() + 1);
  }
  return found;
}

TEST(StatsdText, HasTheNamesOfGunicorn) {
  EXPECT_EQ(request({"", ""}, 200, 288us),
            "gunicorn.request.duration:0.288|ms\n"
            "gunicorn.requests:1|c|@1.0\n"
            "gunicorn.request.status.200:1|c|@1.0\n");
  EXPECT_EQ(log_lines({"", ""}),
            "gunicorn.log.warning:1|c|@1.0\n"
            "gunicorn.log.error:1|c|@1.0\n"
            "gunicorn.log.critical:1|c|@1.0\n");
  std::string workers;
  StatsdText("", "").workers(workers, 4);
  EXPECT_EQ(workers, "gunicorn.workers:4|g\n");
}

TEST(StatsdText, WritesMillisecondsWithThreeDecimals) {
  const auto of = [](core::Duration took) {
    const std::string lines = request({"", ""}, 0, took);
    return lines.substr(0, lines.find('\n'));
  };
  EXPECT_EQ(of(0us), "gunicorn.request.duration:0.000|ms");
  EXPECT_EQ(of(-1ms), "gunicorn.request.duration:0.000|ms");
  EXPECT_EQ(of(12ms), "gunicorn.request.duration:12.000|ms");
  EXPECT_EQ(of(1s + 5999ns), "gunicorn.request.duration:1000.005|ms");
  EXPECT_EQ(of(core::Duration::max()), "gunicorn.request.duration:9223372036854.775|ms");
}

TEST(StatsdText, HasNoStatusWithoutAResponse) {
  EXPECT_EQ(request({"", ""}, 0, 1ms),
            "gunicorn.request.duration:1.000|ms\ngunicorn.requests:1|c|@1.0\n");
}

TEST(StatsdText, PutsOneDotAfterThePrefix) {
  for (const char* const prefix : {"site", "site.", "site..."}) {
    std::string lines;
    StatsdText(prefix, "").workers(lines, 1);
    EXPECT_EQ(lines, "site.gunicorn.workers:1|g\n") << prefix;
  }
  std::string lines;
  StatsdText("a.b..", "").workers(lines, 1);
  EXPECT_EQ(lines, "a.b.gunicorn.workers:1|g\n");
}

TEST(StatsdText, AppendsTheTagsToEachLine) {
  EXPECT_EQ(request({"site", "a:b,c:d"}, 404, 1ms),
            "site.gunicorn.request.duration:1.000|ms|#a:b,c:d\n"
            "site.gunicorn.requests:1|c|@1.0|#a:b,c:d\n"
            "site.gunicorn.request.status.404:1|c|@1.0|#a:b,c:d\n");
}

TEST(StatsdText, FillsADatagramExactly) {
  constexpr std::size_t kMax = StatsdText::kDatagramBytesMax;
  const std::string half(kMax / 2, 'a');  // two of them and a line end are one byte too many
  EXPECT_EQ(datagrams(half + '\n' + half + '\n'), (std::vector{half, half}));
  const std::string less = half.substr(1);
  EXPECT_EQ(datagrams(half + '\n' + less + '\n'), (std::vector{half + '\n' + less}));
  const std::string whole(kMax, 'a');
  EXPECT_EQ(datagrams(whole + "\nb\n"), (std::vector<std::string>{whole, "b"}));
}

RC_GTEST_PROP(StatsdText, DatagramsHaveAllLinesInOrderAndAreAsLongAsPossible, ()) {
  const auto lengths =
      *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 700));
  std::string lines;
  for (const std::size_t length : lengths) lines += std::string(length, 'x') + '\n';
  std::string all;
  std::size_t before = 0;
  for (const std::string& datagram : datagrams(lines)) {
    RC_ASSERT(datagram.size() <= StatsdText::kDatagramBytesMax);
    const std::size_t first = std::min(datagram.find('\n'), datagram.size());
    RC_ASSERT(all.empty() || before + 1 + first > StatsdText::kDatagramBytesMax);
    before = datagram.size();
    all += datagram + '\n';
  }
  RC_ASSERT(all == lines);
}

}  // namespace
}  // namespace iotax::driver
