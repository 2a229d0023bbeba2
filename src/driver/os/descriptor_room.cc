#include "driver/os/descriptor_room.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <mutex>

namespace iotax::driver {
namespace {

std::mutex raising;
// Descriptor numbers from here on belong to the application; only measure_descriptor_limit()
// changes this.
std::atomic<int> shared_until{INT_MAX};
// The soft limit while it is raised, else 0.
std::atomic<rlim_t> lowered{0};

bool set_soft(rlim_t soft, rlim_t hard) noexcept {
  const rlimit wanted{soft, hard};
  return ::setrlimit(RLIMIT_NOFILE, &wanted) == 0;
}

}  // namespace

std::size_t measure_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
  const auto bounded = [](rlim_t n) {
    return static_cast<std::size_t>(std::min<rlim_t>(n, INT_MAX));
  };
  shared_until.store(INT_MAX, std::memory_order_relaxed);
  if (limit.rlim_cur >= limit.rlim_max) return bounded(limit.rlim_cur);
  shared_until.store(static_cast<int>(bounded(limit.rlim_cur) / 2), std::memory_order_relaxed);
  const RaisedLimit raised;
  if (raised) return bounded(limit.rlim_max);
  shared_until.store(INT_MAX, std::memory_order_relaxed);  // the kernel allows less than it says
  return bounded(limit.rlim_cur);
}

RaisedLimit::RaisedLimit() noexcept {
  if (shared_until.load(std::memory_order_relaxed) == INT_MAX) return;
  raising.lock();
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur < now.rlim_max) {
    lowered.store(now.rlim_cur, std::memory_order_relaxed);
    raised_ = set_soft(now.rlim_max, now.rlim_max);
  }
  if (raised_) return;
  lowered.store(0, std::memory_order_relaxed);
  raising.unlock();
}

RaisedLimit::~RaisedLimit() {
  if (!raised_) return;
  restore_descriptor_limit_in_child();
  raising.unlock();
}

int out_of_the_way(int fd) noexcept {
  if (fd < shared_until.load(std::memory_order_relaxed)) return fd;
  int high = -1;
  {
    const RaisedLimit raised;
    const auto soft = lowered.load(std::memory_order_relaxed);
    if (!raised || static_cast<rlim_t>(fd) >= soft) return fd;
    high = ::fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(soft));
  }
  if (high < 0) return fd;  // no descriptor above the soft limit is free either
  ::close(fd);
  return high;
}

void restore_descriptor_limit_in_child() noexcept {
  const rlim_t soft = lowered.exchange(0, std::memory_order_relaxed);
  rlimit now{};
  if (soft != 0 && ::getrlimit(RLIMIT_NOFILE, &now) == 0) (void)set_soft(soft, now.rlim_max);
}

}  // namespace iotax::driver
