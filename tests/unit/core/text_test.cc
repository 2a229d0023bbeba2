// Comparing and copying in words gives the same result as byte by byte, for every length and every
// position of a difference.
#include "core/text.h"

#include <gtest/gtest.h>

#include <string>

#include "support/letters.h"

namespace iotax::core {
namespace {

using support::kLongest;
using support::letters;

TEST(Text, ComparesEachByte) {
  for (std::size_t count = 0; count <= kLongest; ++count) {
    const std::string lower = letters(count);
    EXPECT_TRUE(same_text(lower, letters(count)));
    EXPECT_TRUE(same_token(lower, letters(count)));
    EXPECT_FALSE(same_text(lower, lower + 'x'));
    EXPECT_FALSE(same_token(lower + 'x', lower));
    for (std::size_t at = 0; at < count; ++at) {
      std::string other = lower;
      other[at] = static_cast<char>(other[at] & ~0x20);
      EXPECT_FALSE(same_text(other, lower)) << count << ' ' << at;
      EXPECT_TRUE(same_token(other, lower)) << count << ' ' << at;
      other[at] = '1';
      EXPECT_FALSE(same_token(other, lower)) << count << ' ' << at;
    }
  }
}

TEST(Text, CopiesTheTextOnly) {
  for (std::size_t count = 0; count <= kLongest; ++count) {
    std::string to(kLongest + 1, '.');
    const std::string text = letters(count);
    EXPECT_EQ(copy_text(to.data(), text), to.data() + count);
    EXPECT_EQ(to, text + std::string(kLongest + 1 - count, '.'));
  }
}

}  // namespace
}  // namespace iotax::core
