// One schedule of a whole worker: clients, a network, a clock, threads and failures, all drawn from
// a seed, and the invariants that hold for every seed (listed in simulation.cc). It must not know
// how many schedules are run or what happens to a verdict.
#pragma once

#include <cstdint>
#include <string>

namespace iotax::sim {

struct Verdict {
  std::string fault;  // empty: all invariants held
  std::string story;  // what the clients did, and the log
};

/// Deterministic: the same seed gives the same verdict. Threads that wait forever or spin abort the
/// process (support/scripted_scheduler.h).
[[nodiscard]] Verdict simulate(std::uint64_t seed);

}  // namespace iotax::sim
