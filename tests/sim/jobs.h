// Runs jobs in parallel: each job is a separate process, so that a run that aborts it, by a check
// in the code under test or of the scheduler, reports the command that replays it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace iotax::sim {

/// Set the command that replays the next run; print_replay() prints it if the run fails.
void set_replay(std::string command);
/// Print "replay it: COMMAND" to standard error.
void print_replay();
/// The number of cores.
[[nodiscard]] std::uint64_t cores();

struct Done {
  bool good = true;
  std::uint64_t runs = 0;
  double seconds = 0;
};
/// Run `body` with 0 to `jobs` - 1, each in its own process; it counts its runs and returns whether
/// all passed. The first failure ends the others.
[[nodiscard]] Done run_jobs(
    std::uint64_t jobs, const std::function<bool(std::uint64_t job, std::uint64_t& runs)>& body);

/// Parse `text` as a number; if it is not one, exit with `usage`, exit code 2.
[[nodiscard]] std::uint64_t number_in(std::string_view text, std::string_view usage);
/// Exit with the error and the usage.
[[noreturn]] void end_usage(std::string_view wrong, std::string_view usage);

}  // namespace iotax::sim
