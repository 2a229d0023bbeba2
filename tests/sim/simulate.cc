// Runs many schedules: simulate [--schedules N] [--seed FIRST] [--jobs N], or one: --replay SEED.
// The schedules are the seeds FIRST to FIRST + N - 1, divided among processes. Stops at the first
// fault and prints it with the command that replays it. Exit code: 0, or 1 on a fault.
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "sim/jobs.h"
#include "sim/simulation.h"

namespace {

using namespace iotax::sim;

constexpr std::string_view kUsage =
    "usage: simulate [--schedules N] [--seed FIRST] [--jobs N] | --replay SEED";

struct Options {
  std::uint64_t schedules = 1000;
  std::uint64_t first = 0;
  std::uint64_t jobs = cores();
  bool replay = false;
};

Options read_options(const std::vector<std::string_view>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (i + 1 == words.size()) end_usage(std::string(words[i]) + " needs a number", kUsage);
    const std::uint64_t value = number_in(words[i + 1], kUsage);
    if (words[i] == "--schedules") {
      options.schedules = value;
    } else if (words[i] == "--seed") {
      options.first = value;
    } else if (words[i] == "--jobs" && value > 0) {
      options.jobs = value;
    } else if (words[i] == "--replay") {
      options.replay = true;
      options.first = value;
    } else {
      end_usage(std::string(words[i]) + " " + std::string(words[i + 1]) + " is not known", kUsage);
    }
  }
  return options;
}

Verdict run(std::string_view program, std::uint64_t seed) {
  set_replay(std::string(program) + " --replay " + std::to_string(seed));
  Verdict verdict = simulate(seed);
  if (!verdict.fault.empty()) {
    std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed),
                 verdict.fault.c_str());
  }
  return verdict;
}

int run_all(std::string_view program, const Options& options) {
  // Every `jobs`-th seed from the `job`-th on.
  const Done done = run_jobs(options.jobs, [&](std::uint64_t job, std::uint64_t& runs) {
    for (std::uint64_t n = job; n < options.schedules; n += options.jobs, ++runs) {
      if (run(program, options.first + n).fault.empty()) continue;
      print_replay();
      return false;
    }
    return true;
  });
  std::printf("simulate: %llu schedules, seeds %llu to %llu, in %.1f s%s\n",
              static_cast<unsigned long long>(done.runs),
              static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(options.first + options.schedules - 1), done.seconds,
              done.good ? "" : ": FAILED");
  return done.good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options({argv + 1, argv + argc});
  if (!options.replay) return run_all(argv[0], options);
  const Verdict verdict = run(argv[0], options.first);
  std::printf("%s", verdict.fault.empty() ? "everything held\n" : verdict.story.c_str());
  return verdict.fault.empty() ? 0 : 1;
}
