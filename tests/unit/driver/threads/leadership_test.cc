#include "driver/threads/leadership.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "support/scripted_env.h"

namespace iotax {
namespace {

using driver::Lead;
using driver::LeadState;
using driver::LeadWord;
using driver::LeftLead;
using driver::Locked;

class Leadership : public testing::Test {
 protected:
  template <class F>
  auto locked(F f) {
    return mutex.with_lock(f);
  }
  void expect(unsigned holder, LeadState state) const {
    EXPECT_EQ(leadership.word().holder(), holder);
    EXPECT_EQ(leadership.word().state(), state);
  }
  std::optional<Lead> take_over() {
    return locked([&](const Locked& l) { return leadership.take_over(leadership.word(), l); });
  }

  support::ScriptedSys sys;
  driver::StateMutex<support::ScriptedEnv> mutex;
  driver::Leadership<support::ScriptedEnv> leadership;
};

TEST_F(Leadership, AThreadReclaimsTheLeadThatItLent) {
  Lead lead = leadership.begin(3);
  expect(3, LeadState::held);
  const LeftLead lent = leadership.lend(std::move(lead), 3);
  expect(3, LeadState::lent);
  EXPECT_TRUE(leadership.reclaim(lent, 3));
  expect(3, LeadState::held);
}

TEST_F(Leadership, TheSpareTakesOverALentLeadOnce) {
  const LeftLead lent = leadership.lend(leadership.begin(3), 3);
  const LeadWord seen = leadership.word();
  EXPECT_TRUE(take_over());
  expect(LeadWord::kSpare, LeadState::held);
  EXPECT_FALSE(leadership.reclaim(lent, 3));
  EXPECT_FALSE(locked([&](const Locked& l) { return leadership.take_over(seen, l); }));
}

TEST_F(Leadership, TheSpareDoesNotTakeOverALeadThatWasReclaimedAndLentAgain) {
  std::optional<Lead> lead = leadership.begin(3);
  const LeftLead first = leadership.lend(std::move(*lead), 3);
  const LeadWord seen = leadership.word();
  lead = leadership.reclaim(first, 3);
  const LeftLead second = leadership.lend(std::move(*lead), 3);
  EXPECT_FALSE(locked([&](const Locked& l) { return leadership.take_over(seen, l); }));
  EXPECT_TRUE(leadership.reclaim(second, 3));
}

TEST_F(Leadership, AGrantedLeadBelongsToTheThreadThatItWasGrantedTo) {
  (void)leadership.lend(leadership.begin(0), 0);
  std::optional<Lead> lead = take_over();
  ASSERT_TRUE(lead);
  locked([&](const Locked& l) { leadership.grant(std::move(*lead), 5, l); });
  expect(5, LeadState::held);
  (void)leadership.granted(5);
  EXPECT_DEATH((void)leadership.granted(4), "");
}

TEST_F(Leadership, AParkedLeadIsClaimedOrUnparkedButNotBoth) {
  for (const bool claimed : {true, false}) {
    (void)leadership.lend(leadership.begin(0), 0);
    std::optional<Lead> lead = take_over();
    ASSERT_TRUE(lead);
    const LeftLead parked =
        locked([&](const Locked& l) { return leadership.park(std::move(*lead), l); });
    const LeadWord seen = leadership.word();
    const auto claim = [&] {
      return locked([&](const Locked& l) { return leadership.claim_parked(seen, 2, l); });
    };
    if (claimed) {
      EXPECT_TRUE(claim());
      expect(2, LeadState::held);
      EXPECT_FALSE(leadership.unpark(parked));
    } else {
      EXPECT_TRUE(leadership.unpark(parked));
      expect(LeadWord::kSpare, LeadState::held);
      EXPECT_FALSE(claim());
    }
  }
}

TEST_F(Leadership, OnlyAParkedLeadIsClaimed) {
  const LeftLead lent = leadership.lend(leadership.begin(0), 0);
  EXPECT_FALSE(
      locked([&](const Locked& l) { return leadership.claim_parked(leadership.word(), 1, l); }));
  EXPECT_TRUE(leadership.reclaim(lent, 0));
}

}  // namespace
}  // namespace iotax
