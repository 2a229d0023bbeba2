// Numbers and times in log lines.
#include "driver/log/write_value.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>

namespace iotax::driver {
namespace {

using namespace std::chrono_literals;

template <class F>
std::string written(F&& write) {
  std::array<char, kValueBytesMax> text{};
  return {text.data(), static_cast<std::size_t>(write(text.data()) - text.data())};
}

TEST(WriteValue, SecondsHaveSixDecimals) {
  const auto seconds_of = [](core::Duration d) {
    return written([d](char* to) { return write_seconds(to, d); });
  };
  EXPECT_EQ(seconds_of(288us), "0.000288");
  EXPECT_EQ(seconds_of(999ns), "0.000000");
  EXPECT_EQ(seconds_of(61s + 5ms), "61.005000");
  EXPECT_EQ(seconds_of(-1s), "0.000000");
}

TEST(WriteValue, TimesAreWrittenInIsoAndClfForm) {
  const core::Duration at = std::chrono::seconds{1'795'946'540} + 123'456'789ns;
  EXPECT_EQ(written([at](char* to) { return write_time(to, at, 3); }), "2026-11-29T10:02:20.123");
  EXPECT_EQ(written([at](char* to) { return write_time(to, at, 6); }),
            "2026-11-29T10:02:20.123456");
  EXPECT_EQ(written([at](char* to) { return write_clf_time(to, at); }),
            "[29/Nov/2026:10:02:20 +0000]");
  EXPECT_EQ(written([](char* to) { return write_time(to, 1ms, 3); }), "1970-01-01T00:00:00.001");
}

TEST(WriteValue, NumbersAreWrittenToTheirLastDigit) {
  EXPECT_EQ(written([](char* to) { return write_number(to, UINT64_MAX); }), "18446744073709551615");
  EXPECT_EQ(written([](char* to) { return write_digits(to, 7, 3); }), "007");
}

}  // namespace
}  // namespace iotax::driver
