// The loop that all floors share: epoll with each connection registered once, one recv and at most
// one send per event. It does not know HTTP. It has no timeouts, limits or partial sends: a floor
// measures the cost of the kernel, and its only client is a load generator that reads its
// responses.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "driver/os/unique_fd.h"

namespace iotax::bench {

using driver::UniqueFd;

/// Format of a request and its response, the same for every floor. The body is that of
/// bench/app.py.
inline constexpr std::string_view kHeadAfterStatus =
    "\r\nServer: floor\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n";
inline constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
inline constexpr std::string_view kAnswerAndClose =
    "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nConnection: "
    "close\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";

inline constexpr std::size_t kReceiveBytes = 64 * 1024;
/// The shortest request of a load generator has 18 bytes, so one recv contains fewer than 4,096,
/// each with a response of less than 256.
inline constexpr std::size_t kAnswerBytes = 1024 * 1024;

/// The responses to the requests of one recv, sent together.
class Answers {
 public:
  void append(std::string_view bytes) noexcept {
    if (bytes.size() > kAnswerBytes - size_) std::abort();
    std::memcpy(bytes_.get() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void clear() noexcept { size_ = 0; }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_ = std::make_unique<char[]>(kAnswerBytes);
  std::size_t size_ = 0;
};

enum class Then { keep, close };

/// A listening, non-blocking socket on 127.0.0.1, and its port. Empty with errno set on failure.
inline std::pair<UniqueFd, std::uint16_t> listen_on(std::uint16_t port) {
  UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  const int one = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
      ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) !=
          0 ||  // inherited by accepted sockets
      ::bind(fd.get(), any, size) != 0 ||
      ::listen(fd.get(), 2048) != 0 || ::getsockname(fd.get(), any, &size) != 0) {
    return {};
  }
  return {std::move(fd), ntohs(address.sin_port)};
}

/// Print the line that bench/run waits for.
inline void announce(std::uint16_t port) {
  std::printf("Listening on http://127.0.0.1:%u\n", unsigned{port});
  std::fflush(stdout);
}

/// Serve until `wait` returns below 0. Returns false with errno set if the loop cannot be set up.
/// `Session` is default constructible and has receive(std::string_view bytes, Answers&), called
/// with the bytes of one recv. `wait(int epoll, epoll_event* into, int room)` is like epoll_wait
/// without a timeout.
template <class Session, class Wait>
bool serve(const UniqueFd& listener, Wait&& wait) {
  UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  const auto watch = [&epoll](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  };
  if (!epoll || !watch(listener.get())) return false;

  struct Connection {
    UniqueFd fd;
    Session session;
  };
  std::vector<std::unique_ptr<Connection>> connections;  // by descriptor
  const auto accept_all = [&] {
    for (;;) {
      UniqueFd fd{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
      if (!fd || !watch(fd.get())) return;
      const auto index = static_cast<std::size_t>(fd.get());
      if (connections.size() <= index) connections.resize(index + 1);
      connections[index] = std::make_unique<Connection>();
      connections[index]->fd = std::move(fd);
    }
  };

  const auto received = std::make_unique<char[]>(kReceiveBytes);
  Answers answers;
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = wait(epoll.get(), events.data(), static_cast<int>(events.size()));
    if (count < 0) return true;
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener.get()) {
        accept_all();
        continue;
      }
      std::unique_ptr<Connection>& connection = connections[static_cast<std::size_t>(fd)];
      const ssize_t bytes = ::recv(fd, received.get(), kReceiveBytes, 0);
      if (bytes <= 0) {
        connection.reset();
        continue;
      }
      answers.clear();
      const Then then =
          connection->session.receive({received.get(), static_cast<std::size_t>(bytes)}, answers);
      const std::string_view out = answers.view();
      if (!out.empty() && ::send(fd, out.data(), out.size(), MSG_NOSIGNAL) < 0) connection.reset();
      if (then == Then::close) connection.reset();
    }
  }
}

/// main() of a floor without Python: `NAME [PORT]`.
template <class Session>
int run(int argc, char** argv) {
  const auto [listener, port] =
      listen_on(argc > 1 ? static_cast<std::uint16_t>(std::atoi(argv[1])) : std::uint16_t{0});
  if (listener) {
    announce(port);
    const auto wait = [](int epoll, epoll_event* into, int room) {
      return ::epoll_wait(epoll, into, room, -1);
    };
    if (serve<Session>(listener, wait)) return EXIT_SUCCESS;
  }
  std::perror("floor");
  return EXIT_FAILURE;
}

}  // namespace iotax::bench
