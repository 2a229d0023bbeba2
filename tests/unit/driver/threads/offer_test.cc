#include "driver/threads/offer.h"

#include <gtest/gtest.h>

#include "support/scripted_env.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;

class Offer : public testing::Test {
 protected:
  struct Session {};

  support::ScriptedSys sys;
  driver::Offer<support::ScriptedEnv, Session> offer;
  Session session;
};

TEST_F(Offer, ThereIsNoneAtFirst) {
  EXPECT_FALSE(offer.look());
  EXPECT_FALSE(offer.accept());
}

TEST_F(Offer, ShowsItsRequestAndSinceWhenItWaits) {
  offer.make(session, core::Instant{5s});
  const auto waiting = offer.look();
  ASSERT_TRUE(waiting);
  EXPECT_EQ(waiting->session, &session);
  EXPECT_EQ(waiting->since, core::Instant{5s});
}

TEST_F(Offer, IsAcceptedOnce) {
  offer.make(session, sys.now());
  EXPECT_TRUE(offer.accept());
  EXPECT_FALSE(offer.accept());
  EXPECT_FALSE(offer.look());
}

TEST_F(Offer, CannotBeAcceptedAfterItWasWithdrawn) {
  offer.make(session, sys.now());
  EXPECT_TRUE(offer.withdraw(*offer.look()));
  EXPECT_FALSE(offer.accept());
  EXPECT_FALSE(offer.look());
}

TEST_F(Offer, CannotBeWithdrawnAfterItWasAccepted) {
  offer.make(session, sys.now());
  const auto seen = offer.look();
  EXPECT_TRUE(offer.accept());
  EXPECT_FALSE(offer.withdraw(*seen));
}

TEST_F(Offer, ALaterOfferIsNotWithdrawnByALookAtAnEarlierOne) {
  offer.make(session, sys.now());
  const auto seen = offer.look();
  EXPECT_TRUE(offer.accept());
  offer.make(session, sys.now());
  EXPECT_FALSE(offer.withdraw(*seen));
  EXPECT_TRUE(offer.accept());
}

}  // namespace
}  // namespace iotax
