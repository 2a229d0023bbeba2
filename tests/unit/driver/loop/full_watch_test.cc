#include "driver/loop/full_watch.h"

#include <gtest/gtest.h>

namespace iotax::driver {
namespace {

core::Instant at(int seconds) { return core::Instant{std::chrono::seconds{seconds}}; }

TEST(FullWatch, WarnsOnceUntilThereWasRoom) {
  using What = FullWatch::What;
  FullWatch watch;
  EXPECT_TRUE(watch.say(What::waiting, at(1)));
  EXPECT_FALSE(watch.say(What::waiting, at(100)));
  EXPECT_TRUE(watch.say(What::evicting, at(100)));
  watch.count(99, 100);
  EXPECT_FALSE(watch.say(What::waiting, at(200)));
  watch.count(80, 100);
  EXPECT_TRUE(watch.say(What::waiting, at(300)));
  watch.count(80, 100);
  EXPECT_FALSE(watch.say(What::waiting, at(310)));
  EXPECT_TRUE(watch.say(What::waiting, at(331)));
}

TEST(FullWatch, WithFewConnectionsOneClosedConnectionCountsAsRoom) {
  using What = FullWatch::What;
  FullWatch watch;
  EXPECT_TRUE(watch.say(What::waiting, at(1)));
  watch.count(1, 1);
  EXPECT_FALSE(watch.say(What::waiting, at(100)));
  watch.count(0, 1);
  EXPECT_TRUE(watch.say(What::waiting, at(100)));
}

}  // namespace
}  // namespace iotax::driver
