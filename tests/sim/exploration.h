// Small scenes around the hand-over of the lead, each run with every deviation from its plain
// course, up to a number of them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace iotax::sim {

/// At a point where a thread gives way or waits: another way than the plain one. The points of a
/// course are counted from 0.
struct Deviation {
  std::size_t point = 0;
  std::size_t way = 0;
};
using Deviations = std::vector<Deviation>;  // by point

struct Course {
  std::string fault;              // what did not hold; empty: everything did
  std::string story;              // of a fault: what came
  std::vector<std::size_t> ways;  // how many there were at each point
};

/// What the scenes are called.
[[nodiscard]] std::vector<std::string_view> scenes();
/// Run a scene, deviating as told. A check in the code under test may end the process instead.
[[nodiscard]] Course play(std::string_view scene, const Deviations& deviations);

}  // namespace iotax::sim
