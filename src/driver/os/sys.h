// The operating system as the driver sees it: every system call, clock, thread, futex, file and log
// write goes through one class. The rest of the driver gets it as a template parameter (Env), so
// that tests script each call (tests/unit/support/scripted_sys.h). It decides only how EINTR is
// handled; it must not know sessions, HTTP or Python.
#pragma once

#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "core/instant.h"
#include "driver/os/result.h"
#include "driver/os/running_time.h"
#include "driver/os/socket_address.h"

// IOTAX_PORTABLE builds sys_posix.cc on Linux too, so that it can be tested there.
#if defined(__linux__) && !defined(IOTAX_PORTABLE)
#define IOTAX_LINUX 1
#include <sys/epoll.h>
#else
#define IOTAX_LINUX 0
#endif

namespace iotax::driver {

/// No timeout: wait forever.
inline constexpr core::Duration kForever = core::Duration::max();

/// A write of up to this many bytes to a pipe is not mixed with those of other processes.
#ifdef PIPE_BUF
inline constexpr std::size_t kWholeWriteBytes = PIPE_BUF;
#else
inline constexpr std::size_t kWholeWriteBytes = _POSIX_PIPE_BUF;
#endif

/// Wake all waiters of a futex.
inline constexpr unsigned kEverybody = 0x7fffffff;

struct Accepted {
  int fd = -1;
  SocketAddress peer;
};

struct FileInfo {
  std::uint64_t bytes = 0;
  bool regular = false;
};

struct PipeEnds {
  int read = -1;
  int write = -1;
};

/// What this process uses.
struct ProcessUse {
  std::uint64_t resident_bytes = 0;  // 0: unknown
  core::Duration cpu{};
};

struct Message {
  std::size_t bytes = 0;  // 0: the other side has closed
  int attached = -1;      // an attached descriptor, owned by the receiver; -1: none
};

/// Repeat `call` while it fails with EINTR; a negative return becomes the errno.
template <class T, class F>
[[nodiscard]] Result<T> without_eintr(F&& call) noexcept {
  for (;;) {
    const auto got = call();
    if (got >= 0) return static_cast<T>(got);
    if (errno != EINTR) return Errno{errno};
  }
}

/// A running native thread. Joined at the latest when it is destroyed.
class NativeThread {
 public:
  NativeThread() = default;
  explicit NativeThread(pthread_t id) noexcept : id_(id) {}
  NativeThread(NativeThread&& other) noexcept : id_(std::exchange(other.id_, std::nullopt)) {}
  NativeThread& operator=(NativeThread&& other) noexcept {
    if (this != &other) {
      join();
      id_ = std::exchange(other.id_, std::nullopt);
    }
    return *this;
  }
  ~NativeThread() { join(); }

  [[nodiscard]] bool joinable() const noexcept { return id_.has_value(); }
  void join() noexcept;
  /// Give the thread up without waiting. It does not exist in the child of a fork, and joining it
  /// would hang.
  void forget() noexcept { id_.reset(); }

 private:
  std::optional<pthread_t> id_;
};

/// Failures are errno values in the Result, never EINTR. Sockets and pipes made here are
/// non-blocking; every descriptor made here is close-on-exec. No call raises SIGPIPE except
/// write(). Thread-safe.
class Sys {
 public:
  using Thread = NativeThread;
  using Mutex = std::mutex;
  /// The atomic type for shared data, named here so that a test can control the interleaving of
  /// threads.
  template <class T>
  using Atomic = std::atomic<T>;

  // ---- sockets
  /// 0: the peer has shut down its sending side. EAGAIN: no data.
  Result<std::size_t> recv(int fd, std::span<std::byte> into) noexcept;
  /// `more`: further bytes follow immediately (MSG_MORE).
  Result<std::size_t> send(int fd, std::span<const std::byte> bytes, bool more = false) noexcept;
  /// At most 1024 pieces. `more` as in send().
  Result<std::size_t> send_gathered(int fd, std::span<const iovec> pieces,
                                    bool more = false) noexcept;
  /// Send from the file `in` at `offset`; 0: end of file.
  Result<std::size_t> sendfile(int out, int in, std::uint64_t offset, std::size_t bytes) noexcept;
  Result<Accepted> accept(int listener) noexcept;
  Result<SocketAddress> getsockname(int fd) noexcept;
  Result<SocketAddress> getpeername(int fd) noexcept;
  /// Open a socket for datagrams and connect it: send() sends them to `peer`.
  Result<int> open_datagram(const SocketAddress& peer) noexcept;
  /// `how` is SHUT_RD, SHUT_WR or SHUT_RDWR.
  Result<void> shutdown(int fd, int how) noexcept;
  /// Make the next close() send RST.
  Result<void> set_linger_zero(int fd) noexcept;
  Result<void> set_nodelay(int fd) noexcept;
  /// Make the socket take no more bytes while it has this many that the kernel has not sent
  /// (TCP_NOTSENT_LOWAT). ENOTSUP, or an errno of the kernel, where this is not supported.
  Result<void> set_unsent_max(int fd, std::size_t bytes) noexcept;
  /// Make the kernel drop SYNs for this listener. Connections in the backlog, and those whose
  /// handshake is in progress, can still be accepted. Affects every holder of the socket. ENOTSUP
  /// where this is not supported.
  Result<void> drop_new_connections(int listener) noexcept;
  /// Bytes sent that the peer has not acknowledged (SIOCOUTQ); for Unix sockets, the memory of what
  /// the peer has not read. ENOTSUP where the kernel cannot tell.
  Result<std::size_t> unacked_bytes(int fd) noexcept;
  /// Connections that wait to be accepted from a listener. ENOTSUP, or an errno of the kernel,
  /// where it is not TCP or the kernel cannot tell.
  Result<std::size_t> backlog(int listener) noexcept;
  /// Receive one message of a SOCK_SEQPACKET socket, truncated if it does not fit. EAGAIN: none.
  Result<Message> receive_message(int fd, std::span<std::byte> into) noexcept;
  /// `attached`: a descriptor of which the other side gets a copy; -1: none. Never waits (EAGAIN).
  /// Async-signal-safe.
  Result<void> send_message(int fd, std::span<const std::byte> bytes, int attached = -1) noexcept;

  // ---- any descriptor
  /// Never retried: after EINTR the descriptor is closed on Linux, and another thread may have the
  /// same number by then. Does nothing after abandon_in_child().
  void close(int fd) noexcept;
  /// Have the child of a fork close `fd`. Everything opened here is registered for that, except by
  /// duplicate() and open_append(), until close().
  void own(int fd) noexcept;
  /// Duplicate a file that is being sent; the duplicate is own()ed.
  Result<int> duplicate_file(int fd) noexcept;
  /// For the child of a fork: close everything that is own()ed by any Sys of the process except
  /// `kept` (-1: none). From then on close() does nothing: the application may have got the same
  /// numbers. Async-signal-safe.
  void abandon_in_child(int kept) noexcept;
  Result<std::size_t> read(int fd, std::span<std::byte> into) noexcept;
  /// The caller handles SIGPIPE; threads of start_thread() block it.
  Result<std::size_t> write(int fd, std::span<const std::byte> bytes) noexcept;
  Result<std::size_t> pread(int fd, std::span<std::byte> into, std::uint64_t offset) noexcept;
  Result<std::size_t> pwrite(int fd, std::span<const std::byte> bytes,
                             std::uint64_t offset) noexcept;
  Result<int> duplicate(int fd) noexcept;
  Result<PipeEnds> pipe() noexcept;
  Result<FileInfo> file_info(int fd) noexcept;
  /// Open a file without a name in the directory `dir`, readable and writable.
  Result<int> open_temporary(const std::string& dir) noexcept;
  /// For logs: create the file if it is missing; every write appends.
  Result<int> open_append(const std::string& path) noexcept;
  /// How many descriptors this process may have: the hard limit, see descriptor_room.h.
  [[nodiscard]] std::size_t descriptor_limit() noexcept;

  // ---- waiting. An interrupted wait returns 0, like an early timeout. Timeouts are never rounded
  // down.
#if IOTAX_LINUX
  Result<int> epoll_create() noexcept;
  /// `operation` is EPOLL_CTL_ADD, MOD or DEL.
  Result<void> epoll_ctl(int epoll, int operation, int fd, epoll_event event) noexcept;
  Result<std::size_t> epoll_wait(int epoll, std::span<epoll_event> into,
                                 core::Duration timeout) noexcept;
#endif
  Result<std::size_t> poll(std::span<pollfd> fds, core::Duration timeout) noexcept;

  // ---- time
  /// Monotonic, minus the time in which this process is known not to have run.
  [[nodiscard]] core::Instant now() noexcept;
  /// The same for deadlines, from any thread: not after the time set by plan_reading(), since the
  /// leader may leave out the time since then.
  [[nodiscard]] core::Instant noticed_now() noexcept;
  /// Set when the leader reads the clock next; kNever: it does not. By one thread at a time.
  void plan_reading(core::Instant when) noexcept { time_.plan(when); }
  [[nodiscard]] core::Instant planned_reading() const noexcept { return time_.planned(); }
  /// Report that a wait planned until `planned` has ended. True: it ended so late that this process
  /// cannot have run; now() leaves out the difference from here on. By one thread at a time.
  bool notice_freeze(core::Instant planned) noexcept;
  /// The difference between the monotonic clock and now().
  [[nodiscard]] core::Duration left_out() const noexcept { return time_.left_out(); }
  /// Time since 1970-01-01T00:00:00Z by the wall clock.
  [[nodiscard]] core::Duration unix_time() noexcept;

  // ---- threads
  /// Sleep while `word` is `expected`. false: the timeout passed. true: check again (woken,
  /// changed, or spurious).
  bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                  core::Duration timeout) noexcept;
  void futex_wake(const std::atomic<std::uint32_t>& word, unsigned waiters) noexcept;
  /// Start a thread that runs `body`, which must not throw, with every signal blocked except those
  /// of faults. `name`: up to 15 characters.
  Result<Thread> start_thread(const char* name, std::function<void()> body) noexcept;
  /// Request a scheduler slice of this length for the calling thread, so that it is scheduled soon
  /// even beside threads that compute. Needs Linux 6.12; failure is harmless.
  Result<void> set_slice(core::Duration slice) noexcept;

  // ---- memory
  /// Map `bytes` of zeros that children of a fork share, aligned to 4096; memory is allocated only
  /// when written.
  Result<std::byte*> map_shared(std::size_t bytes) noexcept;
  void unmap(std::byte* memory, std::size_t bytes) noexcept;

  // ---- the process
  [[nodiscard]] int process_id() noexcept;
  [[nodiscard]] ProcessUse process_use() noexcept;
  [[nodiscard]] std::optional<std::string> environment(const char* name) noexcept;
  /// For identifiers, not for secrets.
  [[nodiscard]] std::uint64_t random() noexcept;

 private:
  bool abandoned_ = false;
  RunningTime time_;
};

/// Requirements on Sys and its replacements in tests.
template <class S>
concept SysLike = requires(S& s, int fd, std::span<std::byte> into,
                           std::span<const std::byte> bytes, std::span<const iovec> pieces,
                           std::span<pollfd> fds, std::uint64_t offset, std::size_t size,
                           const SocketAddress& address, const std::string& path,
                           core::Duration timeout, const std::atomic<std::uint32_t>& word,
                           std::uint32_t expected, std::function<void()> body, const char* name,
                           typename S::Thread thread, typename S::Mutex mutex,
                           typename S::template Atomic<bool> atomic) {
  { s.recv(fd, into) } -> std::same_as<Result<std::size_t>>;
  { s.send(fd, bytes) } -> std::same_as<Result<std::size_t>>;
  { s.send(fd, bytes, true) } -> std::same_as<Result<std::size_t>>;
  { s.send_gathered(fd, pieces, true) } -> std::same_as<Result<std::size_t>>;
  { s.sendfile(fd, fd, offset, size) } -> std::same_as<Result<std::size_t>>;
  { s.accept(fd) } -> std::same_as<Result<Accepted>>;
  { s.getsockname(fd) } -> std::same_as<Result<SocketAddress>>;
  { s.getpeername(fd) } -> std::same_as<Result<SocketAddress>>;
  { s.open_datagram(address) } -> std::same_as<Result<int>>;
  { s.shutdown(fd, fd) } -> std::same_as<Result<void>>;
  { s.set_linger_zero(fd) } -> std::same_as<Result<void>>;
  { s.set_nodelay(fd) } -> std::same_as<Result<void>>;
  { s.set_unsent_max(fd, size) } -> std::same_as<Result<void>>;
  { s.drop_new_connections(fd) } -> std::same_as<Result<void>>;
  { s.unacked_bytes(fd) } -> std::same_as<Result<std::size_t>>;
  { s.backlog(fd) } -> std::same_as<Result<std::size_t>>;
  { s.receive_message(fd, into) } -> std::same_as<Result<Message>>;
  { s.send_message(fd, bytes, fd) } -> std::same_as<Result<void>>;
  { s.close(fd) } -> std::same_as<void>;
  { s.own(fd) } -> std::same_as<void>;
  { s.read(fd, into) } -> std::same_as<Result<std::size_t>>;
  { s.write(fd, bytes) } -> std::same_as<Result<std::size_t>>;
  { s.pread(fd, into, offset) } -> std::same_as<Result<std::size_t>>;
  { s.pwrite(fd, bytes, offset) } -> std::same_as<Result<std::size_t>>;
  { s.duplicate(fd) } -> std::same_as<Result<int>>;
  { s.pipe() } -> std::same_as<Result<PipeEnds>>;
  { s.file_info(fd) } -> std::same_as<Result<FileInfo>>;
  { s.open_temporary(path) } -> std::same_as<Result<int>>;
  { s.open_append(path) } -> std::same_as<Result<int>>;
  { s.descriptor_limit() } -> std::same_as<std::size_t>;
#if IOTAX_LINUX
  { s.epoll_create() } -> std::same_as<Result<int>>;
  { s.epoll_ctl(fd, fd, fd, epoll_event{}) } -> std::same_as<Result<void>>;
  { s.epoll_wait(fd, std::span<epoll_event>{}, timeout) } -> std::same_as<Result<std::size_t>>;
#endif
  { s.poll(fds, timeout) } -> std::same_as<Result<std::size_t>>;
  { s.now() } -> std::same_as<core::Instant>;
  { s.noticed_now() } -> std::same_as<core::Instant>;
  { s.plan_reading(core::Instant{}) } -> std::same_as<void>;
  { s.planned_reading() } -> std::same_as<core::Instant>;
  { s.notice_freeze(core::Instant{}) } -> std::same_as<bool>;
  { s.left_out() } -> std::same_as<core::Duration>;
  { s.unix_time() } -> std::same_as<core::Duration>;
  { s.futex_wait(word, expected, timeout) } -> std::same_as<bool>;
  { s.futex_wake(word, 1U) } -> std::same_as<void>;
  { s.start_thread(name, body) } -> std::same_as<Result<typename S::Thread>>;
  { thread.joinable() } -> std::same_as<bool>;
  { thread.join() } -> std::same_as<void>;
  { thread.forget() } -> std::same_as<void>;
  { mutex.lock() } -> std::same_as<void>;
  { mutex.unlock() } -> std::same_as<void>;
  requires std::derived_from<decltype(atomic), std::atomic<bool>>;
  { s.set_slice(timeout) } -> std::same_as<Result<void>>;
  { s.process_id() } -> std::same_as<int>;
  { s.process_use() } -> std::same_as<ProcessUse>;
  { s.environment(name) } -> std::same_as<std::optional<std::string>>;
  { s.random() } -> std::same_as<std::uint64_t>;
};

static_assert(SysLike<Sys>);

}  // namespace iotax::driver
