// Shared by all levels in C++: the choice of cases, the splits, the count, and how a failure is
// shown. A level only runs one case with given splits.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/case.h"
#include "runner/cuts.h"
#include "runner/observed.h"

namespace iotax::conformance {

/// A way to run cases, e.g. "application called when the head is there".
struct Variant {
  std::string name;
  std::function<bool(const Case&)> applies;
  std::function<Observed(const Case&, const Cuts&)> run;
};

struct Level {
  std::string name;  // as it is printed: "core"
  std::vector<Variant> variants;
  bool every_cut = true;  // false: in one piece, single bytes, and a few splits
};

/// Runs what the command line asks for (`--cases DIR`, `--only ID|GROUP`…) and prints `name: n of
/// m`. Returns the exit code: 0 all passed, 1 some did not, 2 nothing to run or a wrong command
/// line.
int run_level(const Level& level, int argc, char** argv);

/// Runs the steps of a case against `play`: receive(bytes), saw_interim(status), pass(time),
/// eof(), closed(), observed(). For "pending" and for "stays open" half a second passes at the end.
template <class Play>
Observed run_steps(const Case& subject, const Cuts& cuts, Play& play) {
  std::size_t offset = 0;
  std::vector<std::string> missing;
  for (const SendStep& step : subject.steps) {
    for (const std::string_view piece : pieces(step.bytes, offset, cuts)) {
      if (!piece.empty()) play.receive(piece);
    }
    offset += step.bytes.size();
    if (step.await != 0 && !play.saw_interim(step.await))
      missing.push_back("no " + std::to_string(step.await));
    if (step.pause != core::Duration{}) play.pass(step.pause);
  }
  if (subject.eof) play.eof();
  if (!play.closed()) play.pass(std::chrono::milliseconds{500});
  Observed observed = play.observed();
  for (auto& what : missing) observed.violations.push_back(std::move(what));
  return observed;
}

}  // namespace iotax::conformance
