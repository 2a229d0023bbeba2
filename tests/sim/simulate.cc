// Runs many schedules: simulate [--schedules N] [--seed FIRST] [--jobs N], or one: --replay SEED.
// The schedules are the seeds FIRST to FIRST + N - 1, shared among processes. Each fault is printed
// with the command that replays it. Exit code: 0, or 1 when a schedule failed.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sim/simulation.h"

namespace {

using iotax::sim::simulate;

struct Options {
  std::uint64_t schedules = 1000;
  std::uint64_t first = 0;
  std::uint64_t jobs = std::max(1U, std::thread::hardware_concurrency());
  bool replay = false;
};

std::string g_program;         // as it was called
std::uint64_t g_seed = 0;      // that runs now
constexpr int kFaultsMax = 3;  // a process prints no more of them

std::string how_to_replay() {
  return "replay it: " + g_program + " --replay " + std::to_string(g_seed) + "\n";
}

/// A check in the code under test, or of the scheduler, has ended the process.
void on_death(int signal) {
  std::signal(signal, SIG_DFL);
  const std::string text =
      "seed " + std::to_string(g_seed) + " ended the process; " + how_to_replay();
  (void)!write(STDERR_FILENO, text.data(), text.size());
  (void)raise(signal);
}

[[noreturn]] void usage(std::string_view wrong) {
  std::fprintf(stderr,
               "simulate: %.*s\nusage: simulate [--schedules N] [--seed FIRST] [--jobs N] | "
               "--replay SEED\n",
               static_cast<int>(wrong.size()), wrong.data());
  std::exit(2);
}

Options read_options(const std::vector<std::string_view>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    std::uint64_t value = 0;
    if (i + 1 == words.size()) usage(std::string(words[i]) + " needs a number");
    const std::string_view text = words[i + 1];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
      usage(std::string(text) + " is no number");
    }
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
      usage(std::string(words[i]) + " " + std::string(text) + " is not known");
    }
  }
  return options;
}

/// Every `jobs`-th seed from the `job`-th on. How many failed.
int run_share(const Options& options, std::uint64_t job) {
  int faults = 0;
  for (std::uint64_t n = job; n < options.schedules; n += options.jobs) {
    g_seed = options.first + n;
    const auto verdict = simulate(g_seed);
    if (verdict.fault.empty()) continue;
    std::fprintf(stderr, "seed %llu: %s\n%s", static_cast<unsigned long long>(g_seed),
                 verdict.fault.c_str(), how_to_replay().c_str());
    if (++faults == kFaultsMax) break;
  }
  return faults;
}

int run_all(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  std::vector<pid_t> children;
  for (std::uint64_t job = 0; job < options.jobs; ++job) {
    const pid_t child = fork();
    if (child < 0) std::abort();
    if (child == 0) std::exit(run_share(options, job) == 0 ? 0 : 1);
    children.push_back(child);
  }
  bool good = true;
  for (const pid_t child : children) {
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) good = false;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf("simulate: %llu schedules, seeds %llu to %llu, in %.1f s%s\n",
              static_cast<unsigned long long>(options.schedules),
              static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(options.first + options.schedules - 1), took.count(),
              good ? "" : ": FAILED");
  return good ? 0 : 1;
}

int replay(std::uint64_t seed) {
  g_seed = seed;
  const auto verdict = simulate(seed);
  if (verdict.fault.empty()) {
    std::printf("seed %llu: everything held\n", static_cast<unsigned long long>(seed));
    return 0;
  }
  std::printf("seed %llu: %s\n%s", static_cast<unsigned long long>(seed), verdict.fault.c_str(),
              verdict.story.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  g_program = argv[0];
  const Options options = read_options({argv + 1, argv + argc});
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    std::signal(signal, on_death);
  }
  return options.replay ? replay(options.first) : run_all(options);
}
