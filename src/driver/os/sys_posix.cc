// Replacements on other systems for the calls in sys_linux.cc.
#include "driver/os/sys.h"

#if !IOTAX_LINUX

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <random>

#include "driver/os/descriptor_room.h"
#include "driver/os/sys_common.h"

namespace iotax::driver {

using namespace sys_common;

namespace {

/// Replacement for futexes: waiters sleep on a condition variable selected by the address of the
/// word.
struct Bucket {
  std::mutex mutex;
  std::condition_variable changed;
};

Bucket& bucket_of(const void* word) noexcept {
  static std::array<Bucket, 64> buckets;
  return buckets[(reinterpret_cast<std::uintptr_t>(word) >> 6) % buckets.size()];
}

Result<int> with_flags(int fd, bool nonblocking) noexcept {
  if (fd < 0) return Errno{errno};
  int ok = ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (ok >= 0 && nonblocking) ok = ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (ok >= 0) return fd;
  const int error = errno;
  ::close(fd);
  return Errno{error};
}

}  // namespace

Result<int> sys_common::make_file(std::string& pattern) noexcept {
  const auto fd = without_eintr<int>([&] { return ::mkstemp(pattern.data()); });
  return fd ? with_flags(*fd, false) : fd;
}

Result<int> sys_common::make_datagram_socket(int family) noexcept {
  const auto fd = with_flags(::socket(family, SOCK_DGRAM, 0), true);
#ifdef SO_NOSIGPIPE
  if (fd) (void)set_option(*fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
  return fd;
}

void sys_common::name_thread(pthread_t /*thread*/, const char* /*name*/) noexcept {}

Result<std::size_t> Sys::sendfile(int out, int in, std::uint64_t offset,
                                  std::size_t bytes) noexcept {
  std::array<std::byte, 16384> piece;
  const auto got = pread(in, std::span(piece).first(std::min(bytes, piece.size())), offset);
  if (!got || *got == 0) return got;
  return send(out, std::span(piece).first(*got));
}

Result<Accepted> Sys::accept(int listener) noexcept {
  Accepted accepted;
  accepted.peer.bytes = sizeof accepted.peer.storage;
  auto* address = reinterpret_cast<sockaddr*>(&accepted.peer.storage);
  auto fd = with_room([&] {
    return without_eintr<int>([&] { return ::accept(listener, address, &accepted.peer.bytes); });
  });
  if (fd) fd = owned(with_flags(*fd, true));
#ifdef SO_NOSIGPIPE
  if (fd) (void)set_option(*fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
  if (!fd) return Errno{fd.error()};
  accepted.fd = *fd;
  return accepted;
}

Result<void> Sys::drop_new_connections(int /*listener*/) noexcept { return Errno{ENOTSUP}; }

Result<std::size_t> Sys::unacked_bytes(int /*fd*/) noexcept { return Errno{ENOTSUP}; }

Result<std::size_t> Sys::backlog(int /*listener*/) noexcept { return Errno{ENOTSUP}; }

Result<PipeEnds> Sys::pipe() noexcept {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) < 0) return Errno{errno};
  for (const int fd : ends) {
    const auto flagged = with_flags(fd, true);
    if (flagged) continue;
    ::close(fd == ends[0] ? ends[1] : ends[0]);
    return Errno{flagged.error()};
  }
  for (const int fd : ends) own(fd);
  return PipeEnds{ends[0], ends[1]};
}

Result<std::size_t> Sys::poll(std::span<pollfd> fds, core::Duration timeout) noexcept {
  return waited(::poll(fds.data(), static_cast<nfds_t>(fds.size()), to_ms(timeout)));
}

bool Sys::futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                     core::Duration timeout) noexcept {
  Bucket& bucket = bucket_of(&word);
  std::unique_lock lock(bucket.mutex);
  if (word.load(std::memory_order_seq_cst) != expected) return true;
  if (timeout == kForever) {
    bucket.changed.wait(lock);
    return true;
  }
  return bucket.changed.wait_for(lock, timeout) == std::cv_status::no_timeout;
}

void Sys::futex_wake(const std::atomic<std::uint32_t>& word, unsigned /*waiters*/) noexcept {
  Bucket& bucket = bucket_of(&word);
  const std::lock_guard lock(bucket.mutex);
  bucket.changed.notify_all();  // words share a bucket; waiters of others check again
}

Result<void> Sys::set_slice(core::Duration /*slice*/) noexcept { return Errno{ENOTSUP}; }

ProcessUse Sys::process_use() noexcept {
  ProcessUse use;
  timespec cpu{};
  if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
    use.cpu = std::chrono::seconds{cpu.tv_sec} + std::chrono::nanoseconds{cpu.tv_nsec};
  }
  return use;
}

std::uint64_t Sys::random() noexcept {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

}  // namespace iotax::driver

#endif
