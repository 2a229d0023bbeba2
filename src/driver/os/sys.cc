// The system calls that every POSIX system has. Decides how EINTR is handled.
#include "driver/os/sys.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "driver/os/descriptor_room.h"
#include "driver/os/own_descriptors.h"
#include "driver/os/sys_common.h"

namespace iotax::driver {

using namespace sys_common;

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
    1024;  // IOV_MAX on all current systems; larger arrays fail with EMSGSIZE

int send_flags(bool more) noexcept { return MSG_DONTWAIT | kNoSignal | (more ? kMore : 0); }

core::Duration read_clock(clockid_t clock) noexcept {
  timespec t{};
  ::clock_gettime(clock, &t);
  return std::chrono::seconds{t.tv_sec} + core::Duration{t.tv_nsec};
}

/// Open a file without a name, or create one and unlink it immediately.
Result<int> open_nameless(const std::string& dir) noexcept {
#ifdef O_TMPFILE
  const auto nameless = without_eintr<int>(
      [&] { return ::open(dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600); });
  // File systems without O_TMPFILE fail with EOPNOTSUPP; kernels without it see a directory that
  // is opened for writing.
  if (nameless || (nameless.error() != EOPNOTSUPP && nameless.error() != EISDIR)) return nameless;
#endif
  std::string path = dir + "/iotax-XXXXXX";
  const auto fd = make_file(path);
  if (fd) ::unlink(path.c_str());
  return fd;
}

void* run_thread(void* argument) {
  const std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(argument));
  (*body)();
  return nullptr;
}

/// All signals except those that a fault of the thread itself raises; the server's threads block
/// them.
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

Result<int> Sys::open_datagram(const SocketAddress& peer) noexcept {
  const auto fd = owned(with_room([&] { return make_datagram_socket(peer.storage.ss_family); }));
  if (!fd) return fd;
  const auto* address = reinterpret_cast<const sockaddr*>(&peer.storage);
  if (::connect(*fd, address, peer.bytes) == 0) return fd;
  const int error = errno;
  close(*fd);
  return Errno{error};
}

Result<void> Sys::shutdown(int fd, int how) noexcept { return done(::shutdown(fd, how)); }

Result<void> Sys::set_linger_zero(int fd) noexcept {
  return set_option(fd, SOL_SOCKET, SO_LINGER, linger{1, 0});
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

namespace {

/// Space for one descriptor attached to a message.
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
#ifdef MSG_CMSG_CLOEXEC
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

// ---- time

core::Instant Sys::now() noexcept { return time_.at(core::Instant{read_clock(CLOCK_MONOTONIC)}); }

core::Instant Sys::noticed_now() noexcept {
  return time_.noticed(core::Instant{read_clock(CLOCK_MONOTONIC)});
}

bool Sys::notice_freeze(core::Instant planned) noexcept {
  return time_.notice(planned, core::Instant{read_clock(CLOCK_MONOTONIC)});
}

core::Duration Sys::unix_time() noexcept { return read_clock(CLOCK_REALTIME); }

// ---- threads

Result<Sys::Thread> Sys::start_thread(const char* name, std::function<void()> body) noexcept {
  auto argument = std::make_unique<std::function<void()>>(std::move(body));
  const sigset_t blocked = all_but_faults();
  sigset_t before;
  ::pthread_sigmask(SIG_SETMASK, &blocked,
                    &before);  // inherited by the new thread, so that no signal reaches it
  pthread_t id{};
  const int error = ::pthread_create(&id, nullptr, run_thread, argument.get());
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) return Errno{error};
  (void)argument.release();  // run_thread() owns it
  name_thread(id, name);
  return Thread{id};
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

}  // namespace iotax::driver
