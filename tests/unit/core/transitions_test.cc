// Every state with every input, against lists that are written down here a second time; and every
// triple of settle().
#include "core/transitions.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

namespace iotax::core {
namespace {

template <class State, class Input>
using Expected = std::map<std::pair<State, Input>, State>;

const Expected<Peer, Saw> kPeer{
    {{Peer::idle, Saw::begin}, Peer::head},    {{Peer::idle, Saw::eof}, Peer::closed},
    {{Peer::idle, Saw::fault}, Peer::refused}, {{Peer::head, Saw::head}, Peer::body},
    {{Peer::head, Saw::fault}, Peer::refused}, {{Peer::body, Saw::data}, Peer::body},
    {{Peer::body, Saw::end}, Peer::done},      {{Peer::body, Saw::fault}, Peer::refused},
    {{Peer::done, Saw::next}, Peer::idle},     {{Peer::done, Saw::eof}, Peer::closed},
};

const Expected<Us, Did> kUs{
    {{Us::idle, Did::take}, Us::owed},       {{Us::idle, Did::refuse}, Us::last},
    {{Us::idle, Did::close}, Us::last},      {{Us::owed, Did::inform}, Us::owed},
    {{Us::owed, Did::hold}, Us::held},       {{Us::owed, Did::head}, Us::open},
    {{Us::owed, Did::answer}, Us::answered}, {{Us::owed, Did::refuse}, Us::last},
    {{Us::owed, Did::abort}, Us::last},      {{Us::held, Did::head}, Us::open},
    {{Us::held, Did::refuse}, Us::last},     {{Us::held, Did::abort}, Us::last},
    {{Us::open, Did::data}, Us::open},       {{Us::open, Did::finish}, Us::answered},
    {{Us::open, Did::abort}, Us::last},      {{Us::open, Did::reset}, Us::broken},
    {{Us::answered, Did::next}, Us::idle},   {{Us::answered, Did::close}, Us::last},
};

template <class State, class Input>
void walk(const Expected<State, Input>& expected, std::size_t states, std::size_t inputs) {
  std::size_t found = 0;
  for (std::size_t s = 0; s < states; ++s) {
    for (std::size_t i = 0; i < inputs; ++i) {
      const auto state = static_cast<State>(s);
      const auto input = static_cast<Input>(i);
      ASSERT_FALSE(name_of(state).empty());
      ASSERT_FALSE(name_of(input).empty());
      const auto row = expected.find({state, input});
      ASSERT_EQ(allowed(state, input), row != expected.end())
          << name_of(state) << " with " << name_of(input);
      if (row == expected.end()) continue;
      EXPECT_EQ(next(state, input), row->second) << name_of(state) << " with " << name_of(input);
      ++found;
    }
  }
  EXPECT_EQ(found, expected.size());
}

TEST(Transitions, EveryStateOfThePeerWithEveryInput) { walk(kPeer, kPeers, kSaws); }
TEST(Transitions, EveryStateOfOursWithEveryInput) { walk(kUs, kUses, kDids); }

TEST(TransitionsDeathTest, AnOrderThatIsNoRowNamesThePairAndEndsTheProcess) {
  EXPECT_DEATH(static_cast<void>(next(Peer::done, Saw::data)),
               "peer: no row for data in state done");
  EXPECT_DEATH(static_cast<void>(next(Us::owed, Did::finish)),
               "us: no row for finish in state owed");
}

TEST(Transitions, SettleOfEveryTriple) {
  for (std::size_t p = 0; p < kPeers; ++p) {
    for (std::size_t u = 0; u < kUses; ++u) {
      for (const bool persists : {false, true}) {
        const auto peer = static_cast<Peer>(p);
        const auto us = static_cast<Us>(u);
        Settled expected = Settled::wait;
        if (us == Us::answered) {
          const bool over = !persists || peer == Peer::closed || peer == Peer::refused;
          expected = over ? Settled::close : peer == Peer::done ? Settled::next : Settled::drain;
        } else if (us == Us::idle && (peer == Peer::closed || (peer == Peer::idle && !persists))) {
          expected = Settled::close;
        }
        EXPECT_EQ(settle(peer, us, persists), expected)
            << name_of(peer) << ", " << name_of(us) << ", " << persists;
      }
    }
  }
}

TEST(Transitions, NothingLeavesTheLastStates) {
  for (std::size_t i = 0; i < kSaws; ++i) {
    EXPECT_FALSE(allowed(Peer::refused, static_cast<Saw>(i)));
    EXPECT_FALSE(allowed(Peer::closed, static_cast<Saw>(i)));
  }
  for (std::size_t i = 0; i < kDids; ++i) {
    EXPECT_FALSE(allowed(Us::last, static_cast<Did>(i)));
    EXPECT_FALSE(allowed(Us::broken, static_cast<Did>(i)));
  }
}

}  // namespace
}  // namespace iotax::core
