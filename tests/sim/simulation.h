// One schedule of a whole worker: clients, a network, a clock, threads and trouble, all drawn from
// a seed, and what must hold whatever was drawn (simulation.cc says it in words). It judges; it
// must not know how many schedules are run or what becomes of a verdict.
#pragma once

#include <cstdint>
#include <string>

namespace iotax::sim {

struct Verdict {
  std::string fault;  // empty: everything held
  std::string story;  // what the clients did and what was logged
};

/// Deterministic: the same seed gives the same verdict. Threads that wait for ever or spin end the
/// process (support/scripted_scheduler.h).
[[nodiscard]] Verdict simulate(std::uint64_t seed);

}  // namespace iotax::sim
