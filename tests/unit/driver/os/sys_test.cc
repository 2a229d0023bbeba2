// The real operating system behind Sys: errno lines, EINTR, clocks, futexes, threads, temporary
// files.
#include "driver/os/sys.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "driver/os/unique_fd.h"
#include "support/bytes.h"

namespace iotax::driver {
namespace {

using support::bytes_of;
using support::text_of;

/// A connected TCP pair over loopback, the server's end through accept().
struct Tcp {
  explicit Tcp(Sys& sys) {
    listener = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), bytes), 0);
    EXPECT_EQ(::listen(listener.get(), 8), 0);
    EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &bytes), 0);
    port = address.sin_port;
    client = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), bytes), 0);
    accepted = sys.accept(listener.get());
    EXPECT_TRUE(accepted);
    server = UniqueFd(accepted->fd);
  }
  UniqueFd listener, client, server;
  Result<Accepted> accepted{Accepted{}};
  in_port_t port = 0;
};

void wait_for(Sys& sys, int fd, short events) {
  std::array fds{pollfd{fd, events, 0}};
  const auto got = sys.poll(fds, kForever);
  ASSERT_TRUE(got);
  ASSERT_EQ(*got, 1U);
}

bool is_close_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

TEST(WithoutEintr, RepeatsTheCallUntilItIsNotInterrupted) {
  int calls = 0;
  const auto got = without_eintr<std::size_t>([&] {
    errno = EINTR;
    return ++calls < 4 ? -1 : 7;
  });
  EXPECT_EQ(*got, 7U);
  EXPECT_EQ(calls, 4);
  const auto failed = without_eintr<int>([] {
    errno = EMFILE;
    return -1;
  });
  EXPECT_EQ(failed.error(), EMFILE);
}

int interrupted_pipe = -1;
volatile sig_atomic_t interruptions = 0;

TEST(Sys, ReadContinuesAfterSignals) {
  Sys sys;
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);  // blocking
  const UniqueFd reader(ends[0]), writer(ends[1]);
  interrupted_pipe = writer.get();
  interruptions = 0;
  struct sigaction action {};
  action.sa_handler = [](int) {  // without SA_RESTART; the third one ends the wait
    interruptions = interruptions + 1;
    if (interruptions == 3) (void)!::write(interrupted_pipe, "x", 1);
  };
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGALRM, &action, &before), 0);
  const itimerval every{{0, 1000}, {0, 1000}}, never{};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &every, nullptr), 0);
  std::byte byte{};
  const auto got = sys.read(reader.get(), std::span(&byte, 1));
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  ASSERT_TRUE(got) << got.error();
  EXPECT_EQ(*got, 1U);
  EXPECT_GE(interruptions, 3);
}

TEST(Sys, EmptyAndFullSocketsGiveEagain) {
  Sys sys;
  Tcp tcp(sys);
  std::array<std::byte, 8> into;
  EXPECT_EQ(sys.recv(tcp.server.get(), into).error(), EAGAIN);
  EXPECT_EQ(sys.recv(tcp.client.get(), into).error(), EAGAIN) << "on a blocking descriptor too";
  const std::vector<std::byte> block(1 << 16);
  Result<std::size_t> sent{std::size_t{0}};
  while ((sent = sys.send(tcp.server.get(), block))) {
  }
  EXPECT_EQ(sent.error(), EAGAIN);
  std::array pieces{iovec{const_cast<std::byte*>(block.data()), block.size()}};
  EXPECT_EQ(sys.send_gathered(tcp.server.get(), pieces).error(), EAGAIN);
  const auto pipe = sys.pipe();
  ASSERT_TRUE(pipe);
  EXPECT_EQ(sys.read(pipe->read, into).error(), EAGAIN);
  sys.close(pipe->read);
  sys.close(pipe->write);
}

TEST(Sys, AcceptReturnsTheAddressOfThePeer) {
  Sys sys;
  Tcp tcp(sys);
  sockaddr_in peer{};
  ASSERT_GE(static_cast<std::size_t>(tcp.accepted->peer.bytes), sizeof peer);
  std::memcpy(&peer, &tcp.accepted->peer.storage, sizeof peer);
  EXPECT_EQ(peer.sin_family, AF_INET);
  EXPECT_EQ(ntohl(peer.sin_addr.s_addr), INADDR_LOOPBACK);
  EXPECT_TRUE(is_close_on_exec(tcp.server.get()));
  EXPECT_TRUE((::fcntl(tcp.server.get(), F_GETFL) & O_NONBLOCK) != 0);
  const auto own = sys.getsockname(tcp.server.get());
  ASSERT_TRUE(own);
  std::memcpy(&peer, &own->storage, sizeof peer);
  EXPECT_EQ(peer.sin_port, tcp.port);
  EXPECT_TRUE(sys.set_nodelay(tcp.server.get()));
  ASSERT_EQ(::fcntl(tcp.listener.get(), F_SETFL, O_NONBLOCK), 0);
  EXPECT_EQ(sys.accept(tcp.listener.get()).error(), EAGAIN);
}

TEST(Sys, AListenerThatDropsNewConnectionsStillAcceptsThoseInTheBacklog) {
  Sys sys;
  Tcp tcp(sys);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = tcp.port;
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  const UniqueFd waits(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(waits.get(), to, sizeof address), 0);
  const auto deaf = sys.drop_new_connections(tcp.listener.get());
  if (deaf.error() == ENOTSUP) GTEST_SKIP() << "not on this system";
  ASSERT_TRUE(deaf);
  const UniqueFd late(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Over loopback a listener that accepts connections responds before connect() returns.
  ASSERT_EQ(::connect(late.get(), to, sizeof address), -1);
  EXPECT_EQ(errno, EINPROGRESS);
  const Result<Accepted> accepted = sys.accept(tcp.listener.get());
  ASSERT_TRUE(accepted);
  sys.close(accepted->fd);
  std::array fds{pollfd{late.get(), POLLOUT, 0}};
  EXPECT_EQ(*sys.poll(fds, core::Duration::zero()), 0U);
}

TEST(Sys, AResetGivesEconnreset) {
  Sys sys;
  Tcp tcp(sys);
  ASSERT_TRUE(sys.set_linger_zero(tcp.client.get()));
  tcp.client.reset();
  wait_for(sys, tcp.server.get(), POLLIN);
  std::array<std::byte, 8> into;
  EXPECT_EQ(sys.recv(tcp.server.get(), into).error(), ECONNRESET);
  EXPECT_EQ(sys.send(tcp.server.get(), bytes_of("x")).error(), EPIPE) << "and no SIGPIPE";
}

TEST(Sys, HalfCloseReadsAsZeroBytes) {
  Sys sys;
  Tcp tcp(sys);
  ASSERT_TRUE(sys.shutdown(tcp.client.get(), SHUT_WR));
  wait_for(sys, tcp.server.get(), POLLIN);
  std::array<std::byte, 8> into;
  const auto got = sys.recv(tcp.server.get(), into);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, 0U);
}

TEST(Sys, SendfileSendsAPartAndRaisesNoSignal) {
  Sys sys;
  Tcp tcp(sys);
  const auto file = sys.open_temporary("/tmp");
  ASSERT_TRUE(file);
  const UniqueFd owner(*file);
  ASSERT_TRUE(sys.pwrite(*file, bytes_of("0123456789"), 0));
  const auto sent = sys.sendfile(tcp.server.get(), *file, 2, 5);
  ASSERT_TRUE(sent);
  EXPECT_EQ(*sent, 5U);
  wait_for(sys, tcp.client.get(), POLLIN);
  std::array<std::byte, 16> into;
  const auto got = sys.recv(tcp.client.get(), into);
  ASSERT_TRUE(got);
  EXPECT_EQ(text_of(std::span(into).first(*got)), "23456");
  const auto behind = sys.sendfile(tcp.server.get(), *file, 10, 5);
  ASSERT_TRUE(behind);
  EXPECT_EQ(*behind, 0U);

  ASSERT_TRUE(sys.shutdown(tcp.server.get(), SHUT_WR));
  EXPECT_EQ(sys.sendfile(tcp.server.get(), *file, 0, 5).error(), EPIPE);
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
}

TEST(Sys, GatheredPiecesArriveInOrder) {
  Sys sys;
  Tcp tcp(sys);
  std::string one = "one ", two = "two";
  const std::array pieces{iovec{one.data(), one.size()}, iovec{two.data(), two.size()}};
  const auto sent = sys.send_gathered(tcp.server.get(), pieces);
  ASSERT_TRUE(sent);
  EXPECT_EQ(*sent, 7U);
  wait_for(sys, tcp.client.get(), POLLIN);
  std::array<std::byte, 16> into;
  const auto got = sys.recv(tcp.client.get(), into);
  ASSERT_TRUE(got);
  EXPECT_EQ(text_of(std::span(into).first(*got)), "one two");
}

TEST(Sys, ConnectionsThatWaitToBeAcceptedAreCounted) {
  Sys sys;
  Tcp tcp(sys);
#if IOTAX_LINUX
  const auto none = sys.backlog(tcp.listener.get());
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, 0U);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = tcp.port;
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  wait_for(sys, tcp.listener.get(), POLLIN);
  const auto one = sys.backlog(tcp.listener.get());
  ASSERT_TRUE(one);
  EXPECT_EQ(*one, 1U);
  const UniqueFd local(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(sys.backlog(local.get()));
  EXPECT_EQ(sys.backlog(-1).error(), EBADF);
#else
  EXPECT_EQ(sys.backlog(tcp.listener.get()).error(), ENOTSUP);
#endif
}

/// A receiver of datagrams.
struct Receiver {
  explicit Receiver(const SocketAddress& address)
      : fd(::socket(address.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const auto* const raw = reinterpret_cast<const sockaddr*>(&address.storage);
    EXPECT_EQ(::bind(fd.get(), raw, address.bytes), 0) << std::strerror(errno);
  }
  std::string next() {
    std::array<char, 100> text{};
    const ssize_t bytes = ::recv(fd.get(), text.data(), text.size(), 0);
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))};
  }
  UniqueFd fd;
};

TEST(Sys, DatagramsArriveOverIpv4AndIpv6AndReportARefusalAfterwards) {
  for (const char* const host : {"127.0.0.1", "::1"}) {
    Sys sys;
    auto receiver = std::make_unique<Receiver>(*internet_address(host, 0));
    const auto bound = sys.getsockname(receiver->fd.get());
    ASSERT_TRUE(bound);
    EXPECT_EQ(numeric_address(*bound).address, host);
    const auto opened = sys.open_datagram(*bound);
    ASSERT_TRUE(opened);
    EXPECT_TRUE(is_close_on_exec(*opened));
    EXPECT_TRUE(sys.send(*opened, bytes_of("one")));
    EXPECT_TRUE(sys.send(*opened, bytes_of("two")));
    EXPECT_EQ(receiver->next(), "one");
    EXPECT_EQ(receiver->next(), "two");
    receiver.reset();
    EXPECT_TRUE(sys.send(*opened, bytes_of("lost")));
    EXPECT_EQ(sys.send(*opened, bytes_of("again")).error(), ECONNREFUSED);
    sys.close(*opened);
  }
}

TEST(Sys, DatagramsToAUnixSocketNeedItsFileAndDoNotWait) {
  Sys sys;
  const std::string path = ::testing::TempDir() + "iotax-sys-test-" + std::to_string(::getpid());
  const auto address = unix_address(path);
  ASSERT_TRUE(address);
  EXPECT_EQ(sys.open_datagram(*address).error(), ENOENT);
  auto receiver = std::make_unique<Receiver>(*address);
  const auto opened = sys.open_datagram(*address);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(sys.send(*opened, bytes_of("one")));
  EXPECT_EQ(receiver->next(), "one");
  Result<std::size_t> sent{0};
  while (sent) sent = sys.send(*opened, bytes_of("more"));
  EXPECT_EQ(sent.error(), EAGAIN);
  receiver.reset();
  EXPECT_EQ(sys.send(*opened, bytes_of("lost")).error(), ECONNREFUSED);
  sys.close(*opened);
  EXPECT_EQ(sys.open_datagram(*address).error(), ECONNREFUSED);
  ::unlink(path.c_str());
}

TEST(SocketAddress, IsMadeOfTextOnlyIfThatIsAnAddress) {
  EXPECT_FALSE(internet_address("localhost", 1));
  EXPECT_FALSE(internet_address("", 1));
  EXPECT_EQ(numeric_address(*internet_address("10.0.0.1", 8125)).port, "8125");
  EXPECT_FALSE(unix_address(""));
  EXPECT_TRUE(unix_address(std::string(107, 'a')));
  EXPECT_FALSE(unix_address(std::string(108, 'a')));
  EXPECT_TRUE(is_unix(*unix_address("a")));
}

TEST(Sys, UnackedBytesAreCounted) {
#if IOTAX_LINUX
  Sys sys;
  Tcp tcp(sys);
  const auto none = sys.unacked_bytes(tcp.server.get());
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, 0U);
  const std::vector<std::byte> block(1 << 16);
  while (sys.send(tcp.server.get(), block)) {
  }
  const auto some = sys.unacked_bytes(tcp.server.get());
  ASSERT_TRUE(some);
  EXPECT_GT(*some, 0U) << "the client reads nothing, and its window is closed";
  EXPECT_FALSE(sys.unacked_bytes(-1));
#else
  Sys sys;
  EXPECT_EQ(sys.unacked_bytes(0).error(), ENOTSUP);
#endif
}

TEST(Sys, ExhaustedDescriptorsGiveEmfile) {
  Sys sys;
  Tcp tcp(sys);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = tcp.port;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const UniqueFd second(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(second.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = before.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  EXPECT_GE(sys.descriptor_limit(), before.rlim_cur) << "and nothing is left that can be raised";
  tight.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const auto accepted = sys.accept(tcp.listener.get());
  const auto pipe = sys.pipe();
  const auto copy = sys.duplicate(tcp.client.get());
  const auto file = sys.open_temporary("/tmp");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(accepted.error(), EMFILE);
  EXPECT_EQ(pipe.error(), EMFILE);
  EXPECT_EQ(copy.error(), EINVAL) << "no number from 3 on is allowed";
  EXPECT_EQ(file.error(), EMFILE);
  const auto again = sys.accept(tcp.listener.get());
  ASSERT_TRUE(again) << "the connection waited";
  sys.close(again->fd);
}

TEST(Sys, TemporaryFileHasNoName) {
  Sys sys;
  std::string dir = "/tmp/iotax-test-XXXXXX";
  ASSERT_NE(::mkdtemp(dir.data()), nullptr);
  const auto file = sys.open_temporary(dir);
  ASSERT_TRUE(file);
  const UniqueFd owner(*file);
  EXPECT_EQ(::rmdir(dir.c_str()), 0) << "the directory is empty";
  EXPECT_TRUE(is_close_on_exec(*file));
  ASSERT_TRUE(sys.pwrite(*file, bytes_of("abc"), 2));
  std::array<std::byte, 8> into;
  const auto got = sys.pread(*file, into, 3);
  ASSERT_TRUE(got);
  EXPECT_EQ(text_of(std::span(into).first(*got)), "bc");
  const auto info = sys.file_info(*file);
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->regular);
  EXPECT_EQ(info->bytes, 5U);
  EXPECT_EQ(sys.open_temporary(dir).error(), ENOENT);
}

TEST(Sys, OpeningForAppendCreatesAndKeepsTheFile) {
  Sys sys;
  std::string dir = "/tmp/iotax-test-XXXXXX";
  ASSERT_NE(::mkdtemp(dir.data()), nullptr);
  const std::string path = dir + "/log";
  for (const std::string_view line : {"one\n", "two\n"}) {
    const auto fd = sys.open_append(path);
    ASSERT_TRUE(fd);
    EXPECT_TRUE(is_close_on_exec(*fd));
    EXPECT_TRUE(sys.write(*fd, bytes_of(line)));
    EXPECT_EQ(sys.file_info(*fd)->bytes, line == "one\n" ? 4U : 8U);
    sys.close(*fd);
  }
  ::unlink(path.c_str());
  ::rmdir(dir.c_str());
  EXPECT_EQ(sys.open_append(path).error(), ENOENT);
}

TEST(Sys, WaitsEndAtTheTimeout) {
  Sys sys;
  const auto pipe = sys.pipe();
  ASSERT_TRUE(pipe);
  std::array fds{pollfd{pipe->read, POLLIN, 0}};
  const auto before = sys.now();
  const auto polled = sys.poll(fds, std::chrono::microseconds{1500});
  ASSERT_TRUE(polled);
  EXPECT_EQ(*polled, 0U);
  EXPECT_GE(sys.now() - before, core::Duration{std::chrono::microseconds{1500}})
      << "never rounded down";
#if IOTAX_LINUX
  const auto epoll = sys.epoll_create();
  ASSERT_TRUE(epoll);
  std::array<epoll_event, 1> events;
  const auto start = sys.now();
  const auto waited = sys.epoll_wait(*epoll, events, std::chrono::microseconds{1500});
  ASSERT_TRUE(waited);
  EXPECT_EQ(*waited, 0U);
  EXPECT_GE(sys.now() - start, core::Duration{std::chrono::microseconds{1500}});
  EXPECT_EQ(sys.epoll_wait(-1, events, core::Duration::zero()).error(), EBADF);
  EXPECT_EQ(sys.epoll_ctl(*epoll, EPOLL_CTL_MOD, pipe->read, {}).error(), ENOENT);
  sys.close(*epoll);
#endif
  sys.close(pipe->read);
  sys.close(pipe->write);
}

TEST(Sys, FutexWakesASleeperAndTimesOut) {
  Sys sys;
  std::atomic<std::uint32_t> word{0}, sleeping{0};
  auto thread = sys.start_thread("sleeper", [&] {
    sleeping = 1;
    while (word.load() == 0) EXPECT_TRUE(sys.futex_wait(word, 0, kForever));
  });
  ASSERT_TRUE(thread);
  while (sleeping.load() == 0) sys.futex_wait(sleeping, 0, std::chrono::milliseconds{1});
  word = 1;
  sys.futex_wake(word, 1);
  thread->join();
  EXPECT_FALSE(thread->joinable());
  EXPECT_FALSE(sys.futex_wait(word, 1, std::chrono::microseconds{100}));
  EXPECT_TRUE(sys.futex_wait(word, 0, kForever)) << "it is not 0";
}

TEST(Sys, ThreadsBlockAllSignalsExceptThoseOfFaults) {
  Sys sys;
  sigset_t mask;
  ::sigemptyset(&mask);
  auto thread =
      sys.start_thread("a-name-of-15-ch", [&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &mask); });
  ASSERT_TRUE(thread);
  thread->join();
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGALRM, SIGUSR1})
    EXPECT_EQ(::sigismember(&mask, signal), 1);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE}) EXPECT_EQ(::sigismember(&mask, signal), 0);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(::sigismember(&mask, SIGTERM), 0) << "the starter's mask is as before";
}

TEST(Sys, MovedThreadIsJoinedOnce) {
  Sys sys;
  std::atomic<int> ran{0};
  {
    auto first = sys.start_thread("one", [&] { ++ran; });
    ASSERT_TRUE(first);
    NativeThread kept = std::move(*first);
    EXPECT_FALSE(first->joinable());
    auto second = sys.start_thread("two", [&] { ++ran; });
    ASSERT_TRUE(second);
    kept = std::move(*second);
  }
  EXPECT_EQ(ran.load(), 2);
}

TEST(Sys, ShortSliceKeepsPolicyAndNice) {
  Sys sys;
  const int nice = ::getpriority(PRIO_PROCESS, 0);
  int nice_after = -100;
  auto thread = sys.start_thread("slice", [&] {
    (void)sys.set_slice(
        std::chrono::microseconds{100});  // kernels before 6.12 and other systems may reject it
    nice_after = ::getpriority(PRIO_PROCESS, 0);
  });
  ASSERT_TRUE(thread);
  thread->join();
  EXPECT_EQ(nice_after, nice);
}

TEST(Sys, ClocksAdvanceAndProcessValuesAreReturned) {
  Sys sys;
  const auto first = sys.now();
  EXPECT_LE(first, sys.now());
  EXPECT_GT(sys.unix_time(), core::Duration{std::chrono::seconds{1'700'000'000}});
  EXPECT_EQ(sys.process_id(), ::getpid());
  EXPECT_NE(sys.random(), sys.random());
  EXPECT_FALSE(sys.environment("IOTAX_A_VARIABLE_THAT_IS_NOT_SET"));
  EXPECT_TRUE(sys.environment("PATH"));
}

TEST(Sys, MessagesKeepTheirBoundariesAndCarryDescriptors) {
  Sys sys;
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  UniqueFd ours(ends[0]), theirs(ends[1]);
  const auto pipe = sys.pipe();
  ASSERT_TRUE(pipe);
  std::array<std::byte, 16> text;
  EXPECT_EQ(sys.receive_message(ours.get(), text).error(), EAGAIN);
  ASSERT_TRUE(sys.send_message(theirs.get(), bytes_of("one")));
  ASSERT_TRUE(sys.send_message(theirs.get(), bytes_of("two"), pipe->write));
  const auto one = sys.receive_message(ours.get(), text);
  ASSERT_TRUE(one);
  EXPECT_EQ(text_of(std::span(text).first(one->bytes)), "one");
  EXPECT_EQ(one->attached, -1);
  const auto two = sys.receive_message(ours.get(), text);
  ASSERT_TRUE(two);
  ASSERT_GE(two->attached, 0);
  EXPECT_TRUE(is_close_on_exec(two->attached));
  EXPECT_TRUE(sys.write(two->attached, bytes_of("x"))) << "it is the pipe";
  EXPECT_EQ(*sys.read(pipe->read, text), 1U);
  for (const int fd : {pipe->read, pipe->write, two->attached}) sys.close(fd);
  theirs.reset();
  EXPECT_EQ(sys.receive_message(ours.get(), text)->bytes, 0U) << "the other side is gone";
  EXPECT_EQ(sys.send_message(ours.get(), bytes_of("x")).error(), EPIPE) << "and no SIGPIPE";
}

TEST(Sys, ADuplicateIsCloseOnExecAndAboveTheStandardDescriptors) {
  Sys sys;
  const auto pipe = sys.pipe();
  ASSERT_TRUE(pipe);
  const auto copy = sys.duplicate(pipe->write);
  ASSERT_TRUE(copy);
  EXPECT_GE(*copy, 3);
  EXPECT_TRUE(is_close_on_exec(*copy));
  sys.close(pipe->write);
  EXPECT_TRUE(sys.write(*copy, bytes_of("x"))) << "it lives on";
  sys.close(*copy);
  sys.close(pipe->read);
  EXPECT_EQ(sys.duplicate(-1).error(), EBADF);
}

}  // namespace
}  // namespace iotax::driver
