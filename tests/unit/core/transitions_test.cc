// Every state with every event, against separate lists in this test; and every triple of
// next_step().
#include "core/transitions.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

namespace iotax::core {
namespace {

template <class State, class Input>
using Expected = std::map<std::pair<State, Input>, State>;

const Expected<RequestState, RequestEvent> kRequest{
    {{RequestState::idle, RequestEvent::begin}, RequestState::head},
    {{RequestState::idle, RequestEvent::eof}, RequestState::half_closed},
    {{RequestState::idle, RequestEvent::fault}, RequestState::rejected},
    {{RequestState::head, RequestEvent::head}, RequestState::body},
    {{RequestState::head, RequestEvent::fault}, RequestState::rejected},
    {{RequestState::body, RequestEvent::data}, RequestState::body},
    {{RequestState::body, RequestEvent::end}, RequestState::complete},
    {{RequestState::body, RequestEvent::fault}, RequestState::rejected},
    {{RequestState::complete, RequestEvent::next}, RequestState::idle},
    {{RequestState::complete, RequestEvent::eof}, RequestState::half_closed},
};

const Expected<ResponseState, ResponseEvent> kResponse{
    {{ResponseState::idle, ResponseEvent::take}, ResponseState::pending},
    {{ResponseState::idle, ResponseEvent::reject}, ResponseState::final},
    {{ResponseState::idle, ResponseEvent::close}, ResponseState::final},
    {{ResponseState::pending, ResponseEvent::inform}, ResponseState::pending},
    {{ResponseState::pending, ResponseEvent::defer}, ResponseState::head_deferred},
    {{ResponseState::pending, ResponseEvent::head}, ResponseState::in_progress},
    {{ResponseState::pending, ResponseEvent::server_response}, ResponseState::complete},
    {{ResponseState::pending, ResponseEvent::reject}, ResponseState::final},
    {{ResponseState::pending, ResponseEvent::abort}, ResponseState::final},
    {{ResponseState::head_deferred, ResponseEvent::head}, ResponseState::in_progress},
    {{ResponseState::head_deferred, ResponseEvent::reject}, ResponseState::final},
    {{ResponseState::head_deferred, ResponseEvent::abort}, ResponseState::final},
    {{ResponseState::in_progress, ResponseEvent::data}, ResponseState::in_progress},
    {{ResponseState::in_progress, ResponseEvent::finish}, ResponseState::complete},
    {{ResponseState::in_progress, ResponseEvent::abort}, ResponseState::final},
    {{ResponseState::in_progress, ResponseEvent::reset}, ResponseState::truncated},
    {{ResponseState::complete, ResponseEvent::next}, ResponseState::idle},
    {{ResponseState::complete, ResponseEvent::close}, ResponseState::final},
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

TEST(Transitions, EveryPairOfRequestStateAndEventIsDecided) {
  walk(kRequest, kRequestStates, kRequestEvents);
}
TEST(Transitions, EveryPairOfResponseStateAndEventIsDecided) {
  walk(kResponse, kResponseStates, kResponseEvents);
}

TEST(TransitionsDeathTest, APairWithoutARowAbortsAndNamesThePair) {
  EXPECT_DEATH(static_cast<void>(next(RequestState::complete, RequestEvent::data)),
               "request: no row for data in state complete");
  EXPECT_DEATH(static_cast<void>(next(ResponseState::pending, ResponseEvent::finish)),
               "response: no row for finish in state pending");
}

TEST(Transitions, EveryTripleHasANextStep) {
  for (std::size_t q = 0; q < kRequestStates; ++q) {
    for (std::size_t r = 0; r < kResponseStates; ++r) {
      for (const bool persists : {false, true}) {
        const auto request = static_cast<RequestState>(q);
        const auto response = static_cast<ResponseState>(r);
        NextStep expected = NextStep::wait;
        if (response == ResponseState::complete) {
          const bool over = !persists || request == RequestState::half_closed ||
                            request == RequestState::rejected;
          expected = over                                ? NextStep::close
                     : request == RequestState::complete ? NextStep::next_request
                                                         : NextStep::discard;
        } else if (response == ResponseState::idle &&
                   (request == RequestState::half_closed ||
                    (request == RequestState::idle && !persists))) {
          expected = NextStep::close;
        }
        EXPECT_EQ(next_step(request, response, persists), expected)
            << name_of(request) << ", " << name_of(response) << ", " << persists;
      }
    }
  }
}

TEST(Transitions, FinalStatesHaveNoTransitions) {
  for (std::size_t i = 0; i < kRequestEvents; ++i) {
    EXPECT_FALSE(allowed(RequestState::rejected, static_cast<RequestEvent>(i)));
    EXPECT_FALSE(allowed(RequestState::half_closed, static_cast<RequestEvent>(i)));
  }
  for (std::size_t i = 0; i < kResponseEvents; ++i) {
    EXPECT_FALSE(allowed(ResponseState::final, static_cast<ResponseEvent>(i)));
    EXPECT_FALSE(allowed(ResponseState::truncated, static_cast<ResponseEvent>(i)));
  }
}

}  // namespace
}  // namespace iotax::core
