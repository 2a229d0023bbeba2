// The core level: every case against core::Connection, in one piece, split in two everywhere, byte
// by byte; once with the application called when the body is there, once when the head is there.
#include "runner/core_play.h"
#include "runner/level.h"

namespace {

using namespace iotax;

conformance::Observed play(const conformance::Case& subject, const conformance::Cuts& cuts,
                           conformance::Calling calling) {
  const core::Limits limits;
  core::Policy policy;
  policy.continue_when_accepted = calling == conformance::Calling::complete;
  conformance::CorePlay play(limits, policy, calling);
  return conformance::run_steps(subject, cuts, play);
}

conformance::Variant variant(std::string name, conformance::Calling calling) {
  conformance::Variant result;
  result.name = std::move(name);
  // A case that waits for 100 and never reads is about the server that reads first.
  result.applies = [calling](const conformance::Case& subject) {
    return calling == conformance::Calling::complete || !(subject.noread && subject.stepwise);
  };
  result.run = [calling](const conformance::Case& subject, const conformance::Cuts& cuts) {
    return play(subject, cuts, calling);
  };
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  conformance::Level level;
  level.name = "core";
  level.variants.push_back(variant("called with the body", conformance::Calling::complete));
  level.variants.push_back(variant("called with the head", conformance::Calling::early));
  return conformance::run_level(level, argc, argv);
}
