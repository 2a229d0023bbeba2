// The calls of Sys that use Linux interfaces.
#include "driver/os/sys.h"

#if IOTAX_LINUX

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "driver/os/descriptor_room.h"
#include "driver/os/sys_common.h"

namespace iotax::driver {

using namespace sys_common;

namespace {

timespec to_timespec(core::Duration d) noexcept {
  const auto ns = std::max<std::int64_t>(d.count(), 0);
  timespec t{};
  t.tv_sec = static_cast<decltype(t.tv_sec)>(ns / 1'000'000'000);
  t.tv_nsec = static_cast<decltype(t.tv_nsec)>(ns % 1'000'000'000);
  return t;
}
/// sendfile() has no MSG_NOSIGNAL: block SIGPIPE during the call, and discard it if the call made
/// it pending.
class SigpipeBlocked {
 public:
  SigpipeBlocked() noexcept {
    ::sigemptyset(&set_);
    ::sigaddset(&set_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  ~SigpipeBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  /// Call it after EPIPE. A SIGPIPE from another process is lost if it arrives during the call.
  void discard() noexcept {
    if (::sigismember(&before_, SIGPIPE) == 1) return;
    const timespec none{};
    while (::sigtimedwait(&set_, nullptr, &none) < 0 && errno == EINTR) {
    }
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
};

}  // namespace

Result<int> sys_common::make_file(std::string& pattern) noexcept {
  return without_eintr<int>([&] { return ::mkostemp(pattern.data(), O_CLOEXEC); });
}

Result<int> sys_common::make_datagram_socket(int family) noexcept {
  return without_eintr<int>(
      [&] { return ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); });
}

void sys_common::name_thread(pthread_t thread, const char* name) noexcept {
  ::pthread_setname_np(thread, name);
}

Result<std::size_t> Sys::sendfile(int out, int in, std::uint64_t offset,
                                  std::size_t bytes) noexcept {
  auto at = static_cast<off_t>(offset);
  SigpipeBlocked blocked;
  auto sent = without_eintr<std::size_t>([&] { return ::sendfile(out, in, &at, bytes); });
  if (sent.error() == EPIPE) blocked.discard();
  return sent;
}

Result<Accepted> Sys::accept(int listener) noexcept {
  Accepted accepted;
  accepted.peer.bytes = sizeof accepted.peer.storage;
  auto* address = reinterpret_cast<sockaddr*>(&accepted.peer.storage);
  const auto fd = owned(with_room([&] {
    return without_eintr<int>([&] {
      return ::accept4(listener, address, &accepted.peer.bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    });
  }));
  if (!fd) return Errno{fd.error()};
  accepted.fd = *fd;
  return accepted;
}

Result<void> Sys::drop_new_connections(int listener) noexcept {
  // RFC 9293 §3.1: drop SYN without ACK. The ACK that completes a handshake must pass; otherwise
  // its client, for which the connection is already established, would be reset.
  static constexpr std::uint32_t kFlagsAt = 13;
  static constexpr std::uint32_t kSyn = 0x02;
  static constexpr std::uint32_t kAck = 0x10;
  std::array<sock_filter, 5> program{{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlagsAt),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSyn | kAck),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  }};
  return set_option(listener, SOL_SOCKET, SO_ATTACH_FILTER,
                    sock_fprog{program.size(), program.data()});
}

Result<std::size_t> Sys::unacked_bytes(int fd) noexcept {
  int bytes = 0;
  if (::ioctl(fd, SIOCOUTQ, &bytes) < 0) return Errno{errno};
  return static_cast<std::size_t>(bytes);
}

Result<std::size_t> Sys::backlog(int listener) noexcept {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  if (::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &bytes) < 0) return Errno{errno};
  return info.tcpi_unacked;  // of a listener: the length of its accept queue
}

Result<PipeEnds> Sys::pipe() noexcept {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) < 0) return Errno{errno};
  for (const int fd : ends) own(fd);
  return PipeEnds{ends[0], ends[1]};
}

Result<int> Sys::epoll_create() noexcept {
  return owned(without_eintr<int>([] { return ::epoll_create1(EPOLL_CLOEXEC); }));
}

Result<void> Sys::epoll_ctl(int epoll, int operation, int fd, epoll_event event) noexcept {
  return done(::epoll_ctl(epoll, operation, fd, &event));
}

Result<std::size_t> Sys::epoll_wait(int epoll, std::span<epoll_event> into,
                                    core::Duration timeout) noexcept {
  const auto room = static_cast<int>(std::min<std::size_t>(into.size(), INT_MAX));
#ifdef SYS_epoll_pwait2
  // Linux 5.11. Called by number: the C library may be older than the kernel.
  static std::atomic<bool> missing{false};
  if (timeout > core::Duration::zero() && timeout != kForever &&
      !missing.load(std::memory_order_relaxed)) {
    struct {
      std::int64_t seconds, ns;
    } const t{timeout.count() / 1'000'000'000,
              timeout.count() % 1'000'000'000};  // the kernel's 64-bit timespec
    const auto got = ::syscall(SYS_epoll_pwait2, epoll, into.data(), room, &t, nullptr, 0);
    if (got >= 0 || (errno != ENOSYS && errno != EPERM)) return waited(static_cast<int>(got));
    missing.store(true, std::memory_order_relaxed);
  }
#endif
  return waited(::epoll_wait(epoll, into.data(), room, to_ms(timeout)));
}

Result<std::size_t> Sys::poll(std::span<pollfd> fds, core::Duration timeout) noexcept {
  const timespec t = to_timespec(timeout);
  return waited(::ppoll(fds.data(), fds.size(), timeout == kForever ? nullptr : &t, nullptr));
}

bool Sys::futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                     core::Duration timeout) noexcept {
  static_assert(sizeof word == 4 && std::atomic<std::uint32_t>::is_always_lock_free);
  const timespec t = to_timespec(timeout);
  const auto got = ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected,
                             timeout == kForever ? nullptr : &t, nullptr, 0);
  return got == 0 || errno != ETIMEDOUT;
}

void Sys::futex_wake(const std::atomic<std::uint32_t>& word, unsigned waiters) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, waiters, nullptr, nullptr, 0);
}

Result<void> Sys::set_slice([[maybe_unused]] core::Duration slice) noexcept {
#ifdef SYS_sched_setattr
  struct {  // struct sched_attr, version 0
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime, deadline, period;
  } attributes{};
  static_assert(sizeof attributes == 48);
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return Errno{errno};
  attributes.runtime = static_cast<std::uint64_t>(slice.count());
  return done(static_cast<int>(::syscall(SYS_sched_setattr, 0, &attributes, 0)));
#else
  return Errno{ENOTSUP};
#endif
}

ProcessUse Sys::process_use() noexcept {
  ProcessUse use;
  timespec cpu{};
  if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
    use.cpu = std::chrono::seconds{cpu.tv_sec} + std::chrono::nanoseconds{cpu.tv_nsec};
  }
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return use;
  std::array<char, 128> text{};
  if (::read(fd, text.data(), text.size() - 1) > 0) {
    unsigned long total = 0, resident = 0;
    if (std::sscanf(text.data(), "%lu %lu", &total, &resident) == 2)
      use.resident_bytes = std::uint64_t{resident} * static_cast<std::uint64_t>(::getpagesize());
  }
  ::close(fd);
  return use;
}

std::uint64_t Sys::random() noexcept {
  std::uint64_t value = 0;
  if (::getrandom(&value, sizeof value, 0) == sizeof value) return value;
  return static_cast<std::uint64_t>(unix_time().count()) * 0x9e3779b97f4a7c15U ^
         static_cast<std::uint64_t>(::getpid());
}

}  // namespace iotax::driver

#endif
