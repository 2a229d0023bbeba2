// Processes, signals and command line arguments.
#include "sim/jobs.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

namespace iotax::sim {

namespace {

std::string g_replay;  // the command of the run in progress

void on_death(int signal) {
  std::signal(signal, SIG_DFL);
  print_replay();
  (void)raise(signal);
}

}  // namespace

void set_replay(std::string command) {
  if (g_replay.empty()) {
    for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
      std::signal(signal, on_death);
    }
  }
  g_replay = std::move(command);
}

void print_replay() {
  static constexpr std::string_view kSays = "replay it: ";
  (void)!write(STDERR_FILENO, kSays.data(), kSays.size());
  (void)!write(STDERR_FILENO, g_replay.data(), g_replay.size());
  (void)!write(STDERR_FILENO, "\n", 1);
}

std::uint64_t cores() { return std::max(1U, std::thread::hardware_concurrency()); }

Done run_jobs(std::uint64_t jobs,
              const std::function<bool(std::uint64_t job, std::uint64_t& runs)>& body) {
  const auto began = std::chrono::steady_clock::now();
  const std::size_t bytes = jobs * sizeof(std::uint64_t);
  void* const shared =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) std::abort();
  auto* const runs = static_cast<std::uint64_t*>(shared);
  std::vector<pid_t> children;
  for (std::uint64_t job = 0; job < jobs; ++job) {
    const pid_t child = fork();
    if (child < 0) std::abort();
    if (child == 0) std::exit(body(job, runs[job]) ? 0 : 1);
    children.push_back(child);
  }
  Done done;
  while (!children.empty()) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (ended < 0) std::abort();
    std::erase(children, ended);
    if (status == 0 || !done.good) continue;
    done.good = false;
    for (const pid_t child : children) kill(child, SIGTERM);
  }
  for (std::uint64_t job = 0; job < jobs; ++job) done.runs += runs[job];
  munmap(shared, bytes);
  done.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return done;
}

std::uint64_t number_in(std::string_view text, std::string_view usage) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    end_usage("'" + std::string(text) + "' is not a number", usage);
  }
  return value;
}

void end_usage(std::string_view wrong, std::string_view usage) {
  std::fprintf(stderr, "%.*s\n%.*s\n", static_cast<int>(wrong.size()), wrong.data(),
               static_cast<int>(usage.size()), usage.data());
  std::exit(2);
}

}  // namespace iotax::sim
