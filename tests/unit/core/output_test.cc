// Copied, referenced and file pieces stay in order however the output is taken.
#include "core/output.h"

#include <gtest/gtest.h>

#include <string>

#include "support/core_peer.h"

namespace iotax::core {
namespace {

std::string shown(const Output& out) {
  std::string text;
  for (const Slice& slice : out.slices())
    text += slice.file_bytes != 0 ? "<" + std::to_string(slice.file_bytes) + ">"
                                  : "[" + test::text_of(slice.bytes) + "]";
  return text;
}

Output made() {
  Output out;
  out.add("ab");
  out.refer(test::bytes_of("REF"));
  out.add("cd");
  out.add_file(5);
  out.add_file(0);
  out.add("e");
  return out;
}

TEST(Output, KeepsTheOrderOfItsPieces) {
  EXPECT_EQ(shown(Output{}), "");
  EXPECT_EQ(shown(made()), "[ab][REF][cd]<5>[e]");
}

TEST(Output, CanBeTakenInAnyTwoParts) {
  constexpr std::uint64_t kAll = 2 + 3 + 2 + 5 + 1;
  const std::array<std::string, kAll + 1> expected{"[ab][REF][cd]<5>[e]",
                                                   "[b][REF][cd]<5>[e]",
                                                   "[REF][cd]<5>[e]",
                                                   "[EF][cd]<5>[e]",
                                                   "[F][cd]<5>[e]",
                                                   "[cd]<5>[e]",
                                                   "[d]<5>[e]",
                                                   "<5>[e]",
                                                   "<4>[e]",
                                                   "<3>[e]",
                                                   "<2>[e]",
                                                   "<1>[e]",
                                                   "[e]",
                                                   ""};
  for (std::uint64_t first = 0; first <= kAll; ++first) {
    Output out = made();
    out.take(first);
    EXPECT_EQ(shown(out), expected[first]);
    EXPECT_EQ(out.empty(), first == kAll);
    out.take(kAll - first);
    EXPECT_TRUE(out.empty());
  }
}

TEST(Output, ContinuesAfterTheTakenBytes) {
  Output out = made();
  out.take(6);
  out.add("!");
  out.refer(test::bytes_of("X"));
  EXPECT_EQ(shown(out), "[d]<5>[e!][X]");
}

TEST(Output, DoesNotGrowForAClientThatNeverReadsEverything) {
  Output out;
  const std::string block(4096, 'x');
  out.add("first");
  for (int i = 0; i < 1000; ++i) {
    out.add(block);
    out.take(block.size());
  }
  EXPECT_LE(out.capacity(), 512U * 1024);
  EXPECT_EQ(shown(out).size(), 2 + std::string_view("first").size());
}

TEST(OutputDeathTest, TakingMoreThanItsSizeAborts) {
  Output out;
  out.add("ab");
  EXPECT_DEATH(out.take(3), "internal error");
}

}  // namespace
}  // namespace iotax::core
