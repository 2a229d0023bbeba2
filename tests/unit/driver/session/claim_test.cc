#include "driver/session/claim.h"

#include <gtest/gtest.h>

#include "support/scripted_env.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::call_of;
using driver::ClaimState;
using driver::ClaimWord;
using driver::state_of;

class Claim : public testing::Test {
 protected:
  static core::Instant at(core::Duration time) { return core::Instant{time}; }
  [[nodiscard]] ClaimState state() const { return state_of(claim.word()); }

  support::ScriptedSys sys;
  driver::Claim<support::ScriptedEnv> claim;
};

TEST_F(Claim, WithoutACallNothingCanBeTaken) {
  EXPECT_EQ(state(), ClaimState::none);
  EXPECT_FALSE(claim.take(claim.word()));
}

TEST_F(Claim, AnUninterruptedCallOwnsItsSessionToTheEnd) {
  claim.begin(at(1s));
  EXPECT_EQ(state(), ClaimState::app);
  EXPECT_TRUE(claim.enter());
  EXPECT_EQ(state(), ClaimState::inside);
  claim.leave(at(2s));
  EXPECT_EQ(state(), ClaimState::app);
  EXPECT_TRUE(claim.end());
  EXPECT_EQ(state(), ClaimState::none);
}

TEST_F(Claim, KnowsSinceWhenTheApplicationHasControl) {
  claim.begin(at(1s));
  EXPECT_EQ(claim.since(), at(1s));
  EXPECT_TRUE(claim.enter());
  EXPECT_EQ(claim.since(), at(1s));
  claim.leave(at(2s));
  EXPECT_EQ(claim.since(), at(2s));
}

TEST_F(Claim, ATakenSessionIsNotTheThreadsAnyMore) {
  claim.begin(at(1s));
  const ClaimWord seen = claim.word();
  EXPECT_TRUE(claim.take(seen));
  EXPECT_TRUE(claim.taken(seen));
  EXPECT_FALSE(claim.enter());
  EXPECT_FALSE(claim.end());
  EXPECT_EQ(state(), ClaimState::none);
  EXPECT_FALSE(claim.taken(seen));
}

TEST_F(Claim, CanBeTakenOnce) {
  claim.begin(at(1s));
  const ClaimWord seen = claim.word();
  EXPECT_TRUE(claim.take(seen));
  EXPECT_FALSE(claim.take(seen));
  EXPECT_FALSE(claim.take(claim.word()));
}

TEST_F(Claim, CannotBeTakenWhileItsThreadIsInsideTheServer) {
  claim.begin(at(1s));
  const ClaimWord before = claim.word();
  EXPECT_TRUE(claim.enter());
  EXPECT_FALSE(claim.take(before));
  EXPECT_FALSE(claim.take(claim.word()));
  claim.leave(at(2s));
  EXPECT_TRUE(claim.take(claim.word()));
}

TEST_F(Claim, CannotBeTakenIfTheCallHasMovedOnSinceTheLook) {
  claim.begin(at(1s));
  const ClaimWord seen = claim.word();
  EXPECT_TRUE(claim.enter());
  claim.leave(at(2s));
  EXPECT_FALSE(claim.take(seen));
  EXPECT_FALSE(claim.taken(seen));
  EXPECT_TRUE(claim.end());
}

TEST_F(Claim, TheNextCallIsNotTakenByALookAtTheLastOne) {
  claim.begin(at(1s));
  const ClaimWord seen = claim.word();
  EXPECT_TRUE(claim.end());
  claim.begin(at(2s));
  EXPECT_NE(call_of(claim.word()), call_of(seen));
  EXPECT_FALSE(claim.take(seen));
  EXPECT_TRUE(claim.end());
}

TEST_F(Claim, TheStepsOfACallBelongToTheSameCall) {
  claim.begin(at(1s));
  const ClaimWord first = claim.word();
  for (int n = 0; n < 1000; ++n) {
    EXPECT_TRUE(claim.enter());
    claim.leave(at(1s));
  }
  EXPECT_EQ(call_of(claim.word()), call_of(first));
  EXPECT_NE(claim.word(), first);
}

}  // namespace
}  // namespace iotax
