#include "driver/scoreboard/short_text.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>

namespace iotax::driver {
namespace {

using Text = ShortText<16>;

/// The text as a reader of the words sees it.
std::string from_words(const Text& text) {
  std::array<char, 16> bytes{};
  for (std::size_t n = 0; n < text.words(); ++n) {
    const std::uint64_t word = text.word(n);
    std::memcpy(bytes.data() + n * sizeof word, &word, sizeof word);
  }
  return {bytes.data(), text.view().size()};
}

TEST(ShortText, IsEmptyAtFirst) {
  Text text;
  EXPECT_EQ(text.view(), "");
  EXPECT_EQ(text.words(), 0U);
}

TEST(ShortText, AssigningReplacesTheText) {
  Text text;
  text.assign("a long text");
  text.assign("short");
  EXPECT_EQ(text.view(), "short");
}

TEST(ShortText, AppendingKeepsTheText) {
  Text text;
  text.assign("GET");
  text.append(" ");
  text.append("/path");
  EXPECT_EQ(text.view(), "GET /path");
}

TEST(ShortText, IsTruncatedIfItDoesNotFit) {
  static constexpr std::string_view kLong = "0123456789abcdef, and more";
  Text text;
  text.assign(kLong);
  EXPECT_EQ(text.view(), kLong.substr(0, 16));
  text.append("more");
  EXPECT_EQ(text.view(), kLong.substr(0, 16));
  text.assign("0123456789");
  text.append("abcdefghi");
  EXPECT_EQ(text.view(), kLong.substr(0, 16));
}

TEST(ShortText, ItsWordsContainTheWholeText) {
  static constexpr std::string_view kText = "0123456789abcdef";
  for (std::size_t bytes = 0; bytes <= kText.size(); ++bytes) {
    Text text;
    text.assign(kText.substr(0, bytes));
    EXPECT_EQ(text.words(), (bytes + 7) / 8) << bytes;
    EXPECT_EQ(from_words(text), kText.substr(0, bytes));
  }
}

}  // namespace
}  // namespace iotax::driver
