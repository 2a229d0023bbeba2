// Both sides of a connection and time, interleaved: client bytes in pieces, an application that
// responds early, late, partly or not at all, a slow client, paused timeouts, a graceful shutdown.
// The assertions of conversation.h must hold, and every connection must end.
// Input: the last byte is the number of bytes before it that are choices (choices.h); the bytes
// before these are the client's.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "client.h"
#include "conversation.h"

namespace {

using namespace iotax;
using fuzz::Conversation;

/// With more rounds than this at the end, the connection never ends.
constexpr int kRoundsMax = 1000;

core::Duration time_to_pass(fuzz::Choices& choices) {
  constexpr core::Duration kTimes[] = {core::Duration{0}, std::chrono::milliseconds{10},
                                       std::chrono::seconds{2}, std::chrono::seconds{20}};
  return choices.one_of(kTimes);
}

void interleave(Conversation& talk, std::string_view& client) {
  fuzz::Choices& choices = talk.choices();
  bool held = false;
  while (!choices.exhausted() && !talk.closed()) {
    switch (choices.below(10)) {
      case 0:
      case 1:
      case 2: {
        if (!talk.wants_input()) break;
        const std::string_view piece = client.substr(0, 1 + choices.below(64));
        client.remove_prefix(piece.size());
        talk.receive(piece);
        break;
      }
      case 3:
        if (client.empty()) talk.eof();
        break;
      case 4:
      case 5:
        talk.act();
        talk.pass({});
        break;
      case 6:
        talk.take_some_output();
        talk.pass({});
        break;
      case 7:
        talk.take_output();
        talk.pass({});
        break;
      case 8:
        talk.pass(time_to_pass(choices));
        break;
      default:
        if (choices.below(8) == 7) talk.close_soon();
        held = choices.yes();
        talk.pause_clock(held);
    }
  }
  talk.pause_clock(false);
}

void end(Conversation& talk, std::string_view client) {
  for (int rounds = 0; !talk.closed(); ++rounds) {
    if (rounds > kRoundsMax) talk.die("does not end");
    talk.act_to_the_end();
    talk.take_output();
    talk.pass({});
    if (talk.in_progress() || talk.closed()) continue;
    if (!client.empty() && talk.wants_input()) {
      talk.receive(client);
      client = {};
    } else if (!talk.pass_to_deadline()) {
      talk.die("waits forever");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto last = static_cast<unsigned char>(input.back());
  input.remove_suffix(1);
  const std::size_t choices_bytes = std::min<std::size_t>(last, input.size());
  std::string_view client = input.substr(0, input.size() - choices_bytes);

  fuzz::Choices choices(input.substr(client.size()));
  const core::Limits limits = choices.below(4) != 0 ? fuzz::small_limits() : core::Limits();
  core::Policy policy;
  policy.continue_when_accepted = !choices.yes();
  Conversation talk(limits, policy, choices);
  talk.call_early(!policy.continue_when_accepted);
  interleave(talk, client);
  end(talk, client);
  talk.judge();
  return 0;
}
