// The real operating system. Decides how EINTR is met and what stands in for a call that a kernel
// or a system lacks.
#include "driver/os/sys.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "driver/os/descriptor_room.h"
#include "driver/os/own_descriptors.h"

#if IOTAX_LINUX
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#else
#include <condition_variable>
#include <mutex>
#include <random>
#endif

namespace iotax::driver {
namespace {

#ifdef MSG_NOSIGNAL
constexpr int kNoSignal = MSG_NOSIGNAL;
#else
constexpr int kNoSignal = 0;  // accept() sets SO_NOSIGPIPE instead
#endif
#ifdef MSG_MORE
constexpr int kMore = MSG_MORE;
#else
constexpr int kMore = 0;
#endif

constexpr std::size_t kPiecesMax =
    1024;  // IOV_MAX on every system of today; larger arrays fail with EMSGSIZE

int send_flags(bool more) noexcept { return MSG_DONTWAIT | kNoSignal | (more ? kMore : 0); }

#if IOTAX_LINUX
timespec to_timespec(core::Duration d) noexcept {
  const auto ns = std::max<std::int64_t>(d.count(), 0);
  timespec t{};
  t.tv_sec = static_cast<decltype(t.tv_sec)>(ns / 1'000'000'000);
  t.tv_nsec = static_cast<decltype(t.tv_nsec)>(ns % 1'000'000'000);
  return t;
}
#endif

/// Milliseconds for poll() and epoll_wait(), rounded up; -1 for ever.
int to_ms(core::Duration d) noexcept {
  if (d == kForever) return -1;
  const std::int64_t ns = std::max<std::int64_t>(d.count(), 0);
  const std::int64_t ms = ns / 1'000'000 + (ns % 1'000'000 != 0 ? 1 : 0);
  return static_cast<int>(std::min<std::int64_t>(ms, INT_MAX));
}

core::Duration read_clock(clockid_t clock) noexcept {
  timespec t{};
  ::clock_gettime(clock, &t);
  return std::chrono::seconds{t.tv_sec} + core::Duration{t.tv_nsec};
}

/// A wait's return: the number of ready descriptors, 0 when interrupted.
Result<std::size_t> waited(int got) noexcept {
  if (got >= 0) return static_cast<std::size_t>(got);
  if (errno == EINTR) return std::size_t{0};
  return Errno{errno};
}

Result<void> done(int got) noexcept {
  if (got < 0) return Errno{errno};
  return {};
}

template <class T>
Result<void> set_option(int fd, int level, int name, const T& value) noexcept {
  return done(::setsockopt(fd, level, name, &value, sizeof value));
}

#if IOTAX_LINUX
/// sendfile() has no MSG_NOSIGNAL: SIGPIPE is blocked for the call, and taken away if the call made
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

  /// After EPIPE. A SIGPIPE that somebody else sent is lost if it came during the call.
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
#else
/// Where futexes are missing: waiters sleep on a condition variable chosen by the address of the
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
#endif

Result<int> owned(Result<int> fd) noexcept {
  if (fd) (void)own_descriptors().add(*fd);
  return fd;
}

/// A file without a name, or whose name is gone at once.
Result<int> open_nameless(const std::string& dir) noexcept {
#ifdef O_TMPFILE
  const auto nameless = without_eintr<int>(
      [&] { return ::open(dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600); });
  // File systems without it say EOPNOTSUPP; kernels without it see a folder opened for writing.
  if (nameless || (nameless.error() != EOPNOTSUPP && nameless.error() != EISDIR)) return nameless;
#endif
  std::string path = dir + "/iotax-XXXXXX";
#if IOTAX_LINUX
  const auto fd = without_eintr<int>([&] { return ::mkostemp(path.data(), O_CLOEXEC); });
#else
  auto fd = without_eintr<int>([&] { return ::mkstemp(path.data()); });
  if (fd) fd = with_flags(*fd, false);
#endif
  if (fd) ::unlink(path.c_str());
  return fd;
}

void* run_thread(void* argument) {
  const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(argument));
  (*body)();
  return nullptr;
}

/// The signals that stay open in our threads: those a fault of the thread itself raises.
sigset_t all_but_faults() noexcept {
  sigset_t set;
  ::sigfillset(&set);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
    ::sigdelset(&set, fault);
  return set;
}

}  // namespace

void NativeThread::join() noexcept {
  if (id_) ::pthread_join(*std::exchange(id_, std::nullopt), nullptr);
}

// ---- sockets

Result<std::size_t> Sys::recv(int fd, std::span<std::byte> into) noexcept {
  return without_eintr<std::size_t>(
      [&] { return ::recv(fd, into.data(), into.size(), MSG_DONTWAIT); });
}

Result<std::size_t> Sys::send(int fd, std::span<const std::byte> bytes, bool more) noexcept {
  return without_eintr<std::size_t>(
      [&] { return ::send(fd, bytes.data(), bytes.size(), send_flags(more)); });
}

Result<std::size_t> Sys::send_gathered(int fd, std::span<const iovec> pieces, bool more) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg() only reads them
  message.msg_iovlen =
      static_cast<decltype(message.msg_iovlen)>(std::min(pieces.size(), kPiecesMax));
  return without_eintr<std::size_t>([&] { return ::sendmsg(fd, &message, send_flags(more)); });
}

Result<std::size_t> Sys::sendfile(int out, int in, std::uint64_t offset,
                                  std::size_t bytes) noexcept {
#if IOTAX_LINUX
  auto at = static_cast<off_t>(offset);
  SigpipeBlocked blocked;
  auto sent = without_eintr<std::size_t>([&] { return ::sendfile(out, in, &at, bytes); });
  if (sent.error() == EPIPE) blocked.discard();
  return sent;
#else
  std::array<std::byte, 16384> piece;
  const auto got = pread(in, std::span(piece).first(std::min(bytes, piece.size())), offset);
  if (!got || *got == 0) return got;
  return send(out, std::span(piece).first(*got));
#endif
}

Result<Accepted> Sys::accept(int listener) noexcept {
  Accepted accepted;
  accepted.peer.bytes = sizeof accepted.peer.storage;
  auto* address = reinterpret_cast<sockaddr*>(&accepted.peer.storage);
#if IOTAX_LINUX
  const auto fd = owned(with_room([&] {
    return without_eintr<int>([&] {
      return ::accept4(listener, address, &accepted.peer.bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    });
  }));
#else
  auto fd = with_room([&] {
    return without_eintr<int>([&] { return ::accept(listener, address, &accepted.peer.bytes); });
  });
  if (fd) fd = owned(with_flags(*fd, true));
#ifdef SO_NOSIGPIPE
  if (fd) (void)set_option(*fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
#endif
  if (!fd) return Errno{fd.error()};
  accepted.fd = *fd;
  return accepted;
}

Result<SocketAddress> Sys::getsockname(int fd) noexcept {
  SocketAddress address;
  address.bytes = sizeof address.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.bytes) < 0)
    return Errno{errno};
  return address;
}

Result<SocketAddress> Sys::getpeername(int fd) noexcept {
  SocketAddress address;
  address.bytes = sizeof address.storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.bytes) < 0)
    return Errno{errno};
  return address;
}

Result<void> Sys::shutdown(int fd, int how) noexcept { return done(::shutdown(fd, how)); }

Result<void> Sys::set_linger_zero(int fd) noexcept {
  return set_option(fd, SOL_SOCKET, SO_LINGER, linger{1, 0});
}

Result<void> Sys::turn_deaf([[maybe_unused]] int listener) noexcept {
#if IOTAX_LINUX
  // RFC 9293 §3.1: what is dropped is SYN without ACK. The ACK that ends a handshake must pass, or
  // its client, who has connected already, would be reset.
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
#else
  return Errno{ENOTSUP};
#endif
}

Result<void> Sys::set_unsent_max([[maybe_unused]] int fd,
                                 [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef TCP_NOTSENT_LOWAT
  return set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(bytes));
#else
  return Errno{ENOTSUP};
#endif
}

Result<void> Sys::set_nodelay(int fd) noexcept {
  return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

Result<std::size_t> Sys::unacked_bytes([[maybe_unused]] int fd) noexcept {
#if IOTAX_LINUX
  int bytes = 0;
  if (::ioctl(fd, SIOCOUTQ, &bytes) < 0) return Errno{errno};
  return static_cast<std::size_t>(bytes);
#else
  return Errno{ENOTSUP};
#endif
}

namespace {

/// Room for one descriptor beside a message.
union Attachment {
  cmsghdr header;
  std::array<std::byte, CMSG_SPACE(sizeof(int))> room;
};

}  // namespace

Result<Message> Sys::receive_message(int fd, std::span<std::byte> into) noexcept {
  iovec piece{into.data(), into.size()};
  Attachment attachment{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = attachment.room.data();
  message.msg_controllen = attachment.room.size();
  int flags = MSG_DONTWAIT;
#if IOTAX_LINUX
  flags |= MSG_CMSG_CLOEXEC;
#endif
  const auto got = without_eintr<std::size_t>([&] { return ::recvmsg(fd, &message, flags); });
  if (!got) return Errno{got.error()};
  Message received{*got, -1};
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    std::memcpy(&received.attached, CMSG_DATA(header), sizeof received.attached);
    received.attached = out_of_the_way(received.attached);
    own(received.attached);
  }
  return received;
}

Result<void> Sys::send_message(int fd, std::span<const std::byte> bytes, int attached) noexcept {
  iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};  // sendmsg() only reads it
  Attachment attachment{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (attached >= 0) {
    message.msg_control = attachment.room.data();
    message.msg_controllen = attachment.room.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof attached);
    std::memcpy(CMSG_DATA(header), &attached, sizeof attached);
  }
  const auto sent =
      without_eintr<std::size_t>([&] { return ::sendmsg(fd, &message, send_flags(false)); });
  if (!sent) return Errno{sent.error()};
  return {};
}

// ---- any descriptor

void Sys::close(int fd) noexcept {
  if (abandoned_) [[unlikely]]
    return;
  own_descriptors().remove(fd);
  ::close(fd);
}

void Sys::own(int fd) noexcept { (void)own_descriptors().add(fd); }

void Sys::abandon_in_child(int kept) noexcept {
  abandoned_ = true;
  own_descriptors().remove(kept);
  own_descriptors().close_all();
  restore_descriptor_limit_in_child();
}

Result<std::size_t> Sys::read(int fd, std::span<std::byte> into) noexcept {
  return without_eintr<std::size_t>([&] { return ::read(fd, into.data(), into.size()); });
}

Result<std::size_t> Sys::write(int fd, std::span<const std::byte> bytes) noexcept {
  return without_eintr<std::size_t>([&] { return ::write(fd, bytes.data(), bytes.size()); });
}

Result<std::size_t> Sys::pread(int fd, std::span<std::byte> into, std::uint64_t offset) noexcept {
  return without_eintr<std::size_t>(
      [&] { return ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset)); });
}

Result<std::size_t> Sys::pwrite(int fd, std::span<const std::byte> bytes,
                                std::uint64_t offset) noexcept {
  return without_eintr<std::size_t>(
      [&] { return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
}

Result<int> Sys::duplicate(int fd) noexcept {
  return without_eintr<int>([&] { return ::fcntl(fd, F_DUPFD_CLOEXEC, 3); });
}

Result<int> Sys::duplicate_file(int fd) noexcept {
  return owned(with_room([&] { return duplicate(fd); }));
}

Result<PipeEnds> Sys::pipe() noexcept {
  std::array<int, 2> ends{};
#if IOTAX_LINUX
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) < 0) return Errno{errno};
#else
  if (::pipe(ends.data()) < 0) return Errno{errno};
  for (const int fd : ends) {
    const auto flagged = with_flags(fd, true);
    if (flagged) continue;
    ::close(fd == ends[0] ? ends[1] : ends[0]);
    return Errno{flagged.error()};
  }
#endif
  for (const int fd : ends) own(fd);
  return PipeEnds{ends[0], ends[1]};
}

Result<FileInfo> Sys::file_info(int fd) noexcept {
  struct stat s {};
  if (::fstat(fd, &s) < 0) return Errno{errno};
  return FileInfo{static_cast<std::uint64_t>(s.st_size), S_ISREG(s.st_mode)};
}

Result<int> Sys::open_temporary(const std::string& dir) noexcept {
  return owned(with_room([&] { return open_nameless(dir); }));
}

Result<int> Sys::open_append(const std::string& path) noexcept {
  return without_eintr<int>([&] {
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
  });
}

std::size_t Sys::descriptor_limit() noexcept { return measure_descriptor_limit(); }

// ---- waiting

#if IOTAX_LINUX
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
  // Linux 5.11. By number: a C library older than the kernel does not know it.
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
#endif

Result<std::size_t> Sys::poll(std::span<pollfd> fds, core::Duration timeout) noexcept {
#if IOTAX_LINUX
  const timespec t = to_timespec(timeout);
  return waited(::ppoll(fds.data(), fds.size(), timeout == kForever ? nullptr : &t, nullptr));
#else
  return waited(::poll(fds.data(), static_cast<nfds_t>(fds.size()), to_ms(timeout)));
#endif
}

// ---- time

core::Instant Sys::now() noexcept { return time_.at(core::Instant{read_clock(CLOCK_MONOTONIC)}); }

bool Sys::notice_freeze(core::Instant planned) noexcept {
  return time_.notice(planned, core::Instant{read_clock(CLOCK_MONOTONIC)});
}

core::Duration Sys::unix_time() noexcept { return read_clock(CLOCK_REALTIME); }

// ---- threads

bool Sys::futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                     core::Duration timeout) noexcept {
#if IOTAX_LINUX
  static_assert(sizeof word == 4 && std::atomic<std::uint32_t>::is_always_lock_free);
  const timespec t = to_timespec(timeout);
  const auto got = ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected,
                             timeout == kForever ? nullptr : &t, nullptr, 0);
  return got == 0 || errno != ETIMEDOUT;
#else
  Bucket& bucket = bucket_of(&word);
  std::unique_lock lock(bucket.mutex);
  if (word.load(std::memory_order_seq_cst) != expected) return true;
  if (timeout == kForever) {
    bucket.changed.wait(lock);
    return true;
  }
  return bucket.changed.wait_for(lock, timeout) == std::cv_status::no_timeout;
#endif
}

void Sys::futex_wake(const std::atomic<std::uint32_t>& word,
                     [[maybe_unused]] unsigned waiters) noexcept {
#if IOTAX_LINUX
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, waiters, nullptr, nullptr, 0);
#else
  Bucket& bucket = bucket_of(&word);
  const std::lock_guard lock(bucket.mutex);
  bucket.changed.notify_all();  // other words share the bucket; their waiters look again
#endif
}

Result<Sys::Thread> Sys::start_thread([[maybe_unused]] const char* name,
                                      std::function<void()> body) noexcept {
  auto argument = std::make_unique<std::function<void()>>(std::move(body));
  const sigset_t blocked = all_but_faults();
  sigset_t before;
  ::pthread_sigmask(SIG_SETMASK, &blocked,
                    &before);  // inherited by the new thread, so that no signal slips in
  pthread_t id{};
  const int error = ::pthread_create(&id, nullptr, run_thread, argument.get());
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return Errno{error};
  (void)argument.release();  // run_thread() owns it
#if IOTAX_LINUX
  ::pthread_setname_np(id, name);
#endif
  return Thread{id};
}

Result<void> Sys::set_slice([[maybe_unused]] core::Duration slice) noexcept {
#if IOTAX_LINUX && defined(SYS_sched_setattr)
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

// ---- memory

Result<std::byte*> Sys::map_shared(std::size_t bytes) noexcept {
  int flags = MAP_SHARED | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
  flags |= MAP_NORESERVE;
#endif
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) return Errno{errno};
  return static_cast<std::byte*>(memory);
}

void Sys::unmap(std::byte* memory, std::size_t bytes) noexcept { (void)::munmap(memory, bytes); }

// ---- the process

int Sys::process_id() noexcept { return ::getpid(); }

std::optional<std::string> Sys::environment(const char* name) noexcept {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::uint64_t Sys::random() noexcept {
#if IOTAX_LINUX
  std::uint64_t value = 0;
  if (::getrandom(&value, sizeof value, 0) == sizeof value) return value;
  return static_cast<std::uint64_t>(unix_time().count()) * 0x9e3779b97f4a7c15U ^
         static_cast<std::uint64_t>(::getpid());
#else
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
#endif
}

}  // namespace iotax::driver
