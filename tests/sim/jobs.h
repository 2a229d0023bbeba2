// Runs that share the cores: each job is a process of its own, so that a run that ends it, by a
// check in the code under test or of the scheduler, says with which command it is replayed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace iotax::sim {

/// Of the run that begins, for whoever has to say it when the run fails.
void set_replay(std::string command);
/// "replay it: COMMAND" on the standard error output.
void print_replay();
/// So many cores.
[[nodiscard]] std::uint64_t cores();

struct Done {
  bool good = true;
  std::uint64_t runs = 0;
  double seconds = 0;
};
/// `body` with 0 to `jobs` - 1, each in a process of its own; it counts its runs and returns
/// whether all was well. The first that is not ends the others.
[[nodiscard]] Done run_jobs(
    std::uint64_t jobs, const std::function<bool(std::uint64_t job, std::uint64_t& runs)>& body);

/// The number that `text` is; without one the program ends with `usage`, exit code 2.
[[nodiscard]] std::uint64_t number_in(std::string_view text, std::string_view usage);
/// End the program: what is wrong, and how it is called.
[[noreturn]] void end_usage(std::string_view wrong, std::string_view usage);

}  // namespace iotax::sim
