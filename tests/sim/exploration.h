// Small scenes around the transitions of the lead, each run with every deviation from its plain
// course, up to a number of them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace iotax::sim {

/// At a point where a thread yields or waits: the choice that differs from the plain course. The
/// points of a course are counted from 0.
struct Deviation {
  std::size_t point = 0;
  std::size_t way = 0;
};
using Deviations = std::vector<Deviation>;  // by point

struct Course {
  std::string fault;              // the violated invariant; empty: none
  std::string story;              // for a fault: the events
  std::vector<std::size_t> ways;  // number of choices at each point
};

/// The names of the scenes.
[[nodiscard]] std::vector<std::string_view> scenes();
/// Run a scene with these deviations. A check in the code under test may abort the process instead.
[[nodiscard]] Course play(std::string_view scene, const Deviations& deviations);

}  // namespace iotax::sim
