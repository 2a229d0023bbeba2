#include "bridge/module/stop_signals.h"

#include <signal.h>
#include <time.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>

namespace iotax::bridge {
namespace {

/// One Ctrl-C can reach a process twice (process group and wrapper): only a later signal counts as
/// a second one.
constexpr std::int64_t kSecondSignalNs = 500'000'000;
constexpr int kExitOfSignal = 128;

struct Taken {
  int number;
  driver::Stop first;
  struct sigaction former;
  bool installed;
};

// Globals, because a signal handler has no other access to its data. All but the atomics change
// only while no worker has the signals.
std::array<Taken, 3> taken{{{SIGINT, driver::Stop::prompt, {}, false},
                            {SIGTERM, driver::Stop::drain, {}, false},
                            {SIGQUIT, driver::Stop::now, {}, false}}};
std::atomic<driver::Worker*> stopped_worker{nullptr};
std::atomic<Caller*> its_caller{nullptr};
std::atomic<std::int64_t> first_signal_ns{0};
std::atomic<Process> its_process{Process::application};

bool is_taken(int number, Process process) noexcept {
  switch (process) {
    case Process::application:
      return number != SIGQUIT;
    case Process::server:
      return true;
    case Process::worker:
      break;
  }
  return number == SIGTERM;
}

std::int64_t now_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

void stop_for(int number, driver::Stop first) noexcept {
  driver::Worker* const worker = stopped_worker.load();
  Caller* const caller = its_caller.load();
  if (worker == nullptr || caller == nullptr) return;
  if (its_process.load() == Process::worker) return worker->report(driver::Report::sigterm);
  caller->stopping();
  const std::int64_t now = now_ns();
  std::int64_t before = 0;
  if (first == driver::Stop::now) {
    worker->stop(driver::Stop::now, kExitOfSignal + number);
  } else if (first_signal_ns.compare_exchange_strong(before, now)) {
    worker->stop(first);
  } else if (now - before >= kSecondSignalNs) {
    worker->stop(driver::Stop::now, kExitOfSignal + number);
  }
}

void handle(int number, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  for (const Taken& signal : taken) {
    if (signal.number != number) continue;
    stop_for(number, signal.first);
    if ((signal.former.sa_flags & SA_SIGINFO) != 0) {
      signal.former.sa_sigaction(number, info, context);
    } else if (signal.former.sa_handler != SIG_DFL && signal.former.sa_handler != SIG_IGN) {
      signal.former.sa_handler(number);
    }
  }
  errno = saved_errno;
}

}  // namespace

int install_stop_signals(driver::Worker& worker, Caller& caller, Process process) noexcept {
  its_process.store(process);
  stopped_worker.store(&worker);
  its_caller.store(&caller);
  first_signal_ns.store(0);
  for (Taken& signal : taken) {
    if (signal.installed || !is_taken(signal.number, process)) continue;
    if (::sigaction(signal.number, nullptr, &signal.former) != 0) return errno;
    struct sigaction ours {};
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigfillset(&ours.sa_mask);
    if (::sigaction(signal.number, &ours, nullptr) != 0) return errno;
    signal.installed = true;
  }
  return 0;
}

void restore_stop_signals(const driver::Worker& worker) noexcept {
  if (stopped_worker.load() != &worker) return;
  for (Taken& signal : taken) {
    if (!signal.installed) continue;
    struct sigaction current {};
    const bool ours = ::sigaction(signal.number, nullptr, &current) == 0 &&
                      (current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == handle;
    if (ours) ::sigaction(signal.number, &signal.former, nullptr);
    signal.installed = false;
  }
  stopped_worker.store(nullptr);
  its_caller.store(nullptr);
}

void drop_stop_signals_in_child() noexcept {
  stopped_worker.store(nullptr);
  its_caller.store(nullptr);
  for (Taken& signal : taken) {
    if (!signal.installed) continue;
    struct sigaction normal {};
    normal.sa_handler = SIG_DFL;
    ::sigaction(signal.number, &normal, nullptr);
    signal.installed = false;
  }
}

}  // namespace iotax::bridge
