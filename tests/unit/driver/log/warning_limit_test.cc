#include "driver/log/warning_limit.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace iotax::driver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(WarningLimit, AllowsTenLinesASecondAndThenACount) {
  WarningLimit limit;
  std::vector<std::string> out;
  const auto emit = [&](std::string_view line) { out.emplace_back(line); };
  const core::Instant start{seconds{50}};
  for (int i = 0; i < 13; ++i)
    limit.pass(start + milliseconds{i}, emit, "line " + std::to_string(i));
  ASSERT_EQ(out.size(), 10U);
  EXPECT_EQ(out.back(), "line 9");
  EXPECT_EQ(limit.due(), start + seconds{1});
  out.clear();
  limit.settle(start + milliseconds{999}, emit);
  EXPECT_TRUE(out.empty());
  limit.pass(start + seconds{1}, emit, "next");
  EXPECT_EQ(out, (std::vector<std::string>{"3 more such lines were left out", "next"}));
  EXPECT_EQ(limit.due(), core::kNever);
}

TEST(WarningLimit, TheCountIsLoggedWithoutAnotherWarning) {
  WarningLimit limit;
  std::vector<std::string> out;
  const auto emit = [&](std::string_view line) { out.emplace_back(line); };
  const core::Instant start{seconds{50}};
  for (int i = 0; i < 11; ++i) limit.pass(start, emit, "line");
  limit.settle(limit.due(), emit);
  EXPECT_EQ(out.back(), "1 more such line was left out");
  const std::size_t told = out.size();
  limit.settle(start + seconds{9}, emit);
  EXPECT_EQ(out.size(), told);
}

}  // namespace
}  // namespace iotax::driver
