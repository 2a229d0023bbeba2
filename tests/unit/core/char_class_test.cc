#include "core/char_class.h"

#include <gtest/gtest.h>

#include <string>

#include "support/letters.h"

namespace iotax::core {
namespace {

using support::kLongest;
using support::letters;

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
