#include "core/char_class.h"

#include <gtest/gtest.h>

#include <string>

namespace iotax::core {
namespace {

constexpr std::size_t kLongest = 40;

std::string letters(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += static_cast<char>('a' + i % 26);
  return text;
}

TEST(CharClass, FindsACharacterOutsideTheClassAtAnyPosition) {
  for (std::size_t count = 0; count <= kLongest; ++count) {
    std::string text = letters(count);
    EXPECT_TRUE(all(text, kToken));
    EXPECT_EQ(run_of(text, kToken), count);
    for (std::size_t at = 0; at < count; ++at) {
      std::string other = text;
      other[at] = ' ';
      EXPECT_FALSE(all(other, kToken)) << count << ' ' << at;
      EXPECT_EQ(run_of(other, kToken), at);
    }
  }
}

}  // namespace
}  // namespace iotax::core
