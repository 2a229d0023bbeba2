// Client bytes against the core and against the model of http1-policy. Both must see the same
// requests, bodies and environ, and send the same responses, a rejection with one of the statuses
// that the policy allows; and leave the connection in the same state.
// Input: client.h; the application is always called when the body is complete, and the bytes arrive
// in one piece.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client.h"
#include "runner/answers.h"
#include "runner/core_play.h"
#include "runner/policy_model.h"

namespace {

using namespace iotax;
using conformance::Ending;
using fuzz::die;

std::string in_words(const conformance::Meaning& meaning) {
  std::string out = std::to_string(meaning.requests.size()) + " requests, responses";
  for (const auto& answer : meaning.answers)
    out += ' ' + std::to_string(answer.status) + ' ' + answer.connection;
  constexpr std::string_view kEndings[] = {"; stays open", "; closes", "; rejected with",
                                           "; perhaps rejected with"};
  out += kEndings[static_cast<std::size_t>(meaning.ending)];
  for (const int status : meaning.refusals) out += ' ' + std::to_string(status);
  return out;
}

/// Describe how the core differs from the policy; empty if it does not.
std::string difference(const conformance::Meaning& meaning, const conformance::Observed& run) {
  if (run.requests != meaning.requests) return "other requests";
  const auto answers = conformance::read_answers(run.output, run.methods, run.closed);
  if (!answers.error.empty()) return "output: " + answers.error;
  const std::size_t due = meaning.answers.size();
  if (answers.finals.size() < due || answers.finals.size() > due + 1) return "other responses";
  for (std::size_t i = 0; i < due; ++i) {
    const auto& answer = answers.finals[i];
    const std::string* connection = answer.field("connection");
    if (!answer.complete || answer.status != meaning.answers[i].status ||
        (connection != nullptr ? *connection : std::string()) != meaning.answers[i].connection)
      return "response " + std::to_string(i + 1) + " differs";
  }
  const std::vector<int> interims(meaning.continue_due ? 1 : 0, 100);
  if (answers.interims != interims) return "not 100 (Continue) where it is due, and only there";

  const bool refused = answers.finals.size() > due;
  const int status = refused ? answers.finals.back().status : 0;
  const bool allowed = run.closed && meaning.refusals.count(status) != 0;
  switch (meaning.ending) {
    case Ending::open:
      return run.closed || refused ? "does not wait" : "";
    case Ending::closed:
      return !run.closed || refused ? "does not simply close" : "";
    case Ending::refused:
      return allowed ? "" : "not rejected, or with another status";
    case Ending::undecided:
      return allowed || (!run.closed && !refused) ? "" : "rejected with another status";
  }
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::client_input(data, size);
  if (!input) return 0;
  const core::Limits limits =
      input->has(fuzz::kSmallLimits) ? fuzz::small_limits() : core::Limits();
  const core::Policy policy;
  conformance::CorePlay play(limits, policy, conformance::Calling::complete);
  if (!input->octets.empty()) play.receive(input->octets);
  if (input->has(fuzz::kEof)) play.eof();
  const auto meaning = conformance::meaning_of(input->octets, input->has(fuzz::kEof), limits);
  const std::string differs = difference(meaning, play.observed());
  if (!differs.empty())
    die(input->octets, differs + "\n  policy    " + in_words(meaning), play.observed());
  return 0;
}
