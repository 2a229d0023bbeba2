// The framing that follows from the facts of a response.
#include "core/response_framing.h"

#include <gtest/gtest.h>

#include <optional>

namespace iotax::core {
namespace {

TEST(Framing, FollowsTheOrderOfPrecedence) {
  const auto made = [](int status, bool head, std::optional<std::uint64_t> own,
                       std::optional<std::uint64_t> known) {
    return decide({status, head, own, known});
  };
  const std::optional<std::uint64_t> none;
  EXPECT_EQ(made(200, false, none, none).framing, Framing::undecided);
  EXPECT_EQ(made(200, false, 5, 3).length, 5U);
  EXPECT_TRUE(made(200, false, 5, 3).keep_own_length);
  EXPECT_EQ(made(200, false, none, 3).add_length, 3U);
  EXPECT_EQ(made(200, false, none, 0).add_length, 0U);
  for (const std::optional<std::uint64_t> own : {none, std::optional<std::uint64_t>(5)}) {
    EXPECT_EQ(made(204, false, own, 0).framing, Framing::none);
    EXPECT_FALSE(made(204, false, own, 0).keep_own_length || made(204, false, own, 0).add_length);
    EXPECT_EQ(made(304, false, own, 0).framing, Framing::none);
    EXPECT_EQ(made(304, false, own, 0).keep_own_length, own.has_value());
    EXPECT_FALSE(made(304, false, own, 0).add_length);
    EXPECT_EQ(made(205, false, own, none).add_length, 0U);
    EXPECT_FALSE(made(205, false, own, none).keep_own_length);
    EXPECT_EQ(made(200, true, own, none).framing, Framing::none);
    EXPECT_EQ(made(200, true, own, none).keep_own_length, own.has_value());
  }
  EXPECT_EQ(made(200, true, none, 3).add_length, 3U);
  EXPECT_FALSE(made(200, true, none, 0).add_length) << "a 0 is never invented for HEAD";
  EXPECT_EQ(decide_late(Version::http_1_1, false).framing, Framing::chunked);
  EXPECT_EQ(decide_late(Version::http_1_0, false).framing, Framing::until_close);
  EXPECT_EQ(decide_late(Version::http_1_0, true).add_length, 0U);
}

}  // namespace
}  // namespace iotax::core
