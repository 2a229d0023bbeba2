// The worker on the real system: its own threads, the log's and some clients', over loopback. The
// scripted system (worker_test.cc) shows what the worker does; this shows ThreadSanitizer how.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "driver/log/log_sink.h"
#include "driver/os/sys.h"
#include "driver/os/unique_fd.h"
#include "driver/worker.h"
#include "support/answer_reader.h"
#include "support/fake_application.h"

namespace iotax {
namespace {

using driver::Config;
using driver::Exchange;
using driver::Stop;
using driver::Sys;
using driver::UniqueFd;
using support::FakeApplication;

constexpr std::size_t kBigBytes = 300'000;
constexpr std::size_t kHugeBytes = 20'000'000;  // more than the sockets of loopback hold

/// A call reports that it has begun, and lasts until it is released.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    entered_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    entered_ = open_ = false;
    changed_.notify_all();
  }
  void wait_entered() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return entered_; });
  }
  /// Wait until the call has passed.
  void let_go() {
    std::unique_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool entered_ = false;
  bool open_ = false;
};

/// Views by path; a mutex is the application lock. A slow call waits at the gate that its query
/// names.
class ThreadedApplication final : public driver::Application {
 public:
  void enter(unsigned) noexcept override { interpreter_.lock(); }
  void leave(unsigned) noexcept override { interpreter_.unlock(); }
  void call(unsigned, Exchange& exchange) noexcept override {
    const std::string_view path = exchange.head().path;
    ++calls;
    if (path == "/slow") {
      Gate& gate = gates.at(static_cast<std::size_t>(exchange.head().query[0] - '0'));
      interpreter_.unlock();
      gate.pass();
      interpreter_.lock();
    }
    if (path == "/in") {
      FakeApplication::answer(exchange, std::to_string(read_all(exchange)));
    } else if (path == "/big") {
      stream(exchange, kBigBytes, nullptr);
    } else if (path == "/huge") {
      stream(exchange, kHugeBytes, &gates[0]);
    } else {
      FakeApplication::answer(exchange, path);
    }
  }
  [[nodiscard]] bool run_signal_handlers() noexcept override { return false; }
  void end_process(int) noexcept override { ADD_FAILURE() << "the drain took too long"; }

  std::array<Gate, 8> gates;
  std::size_t calls = 0;  // by the thread that holds the application lock

 private:
  static std::size_t read_all(Exchange& exchange) {
    std::array<std::byte, 500> block;
    std::size_t total = 0;
    while (const std::size_t bytes = exchange.read_body(block).bytes) total += bytes;
    return total;
  }
  /// `gate`: wait there before the end.
  void stream(Exchange& exchange, std::size_t bytes, Gate* gate) {
    core::ResponseHead head;
    head.status = "200 OK";
    exchange.respond(head);
    const std::string block(bytes / 10, '.');
    for (int n = 0; n < 10; ++n) {
      exchange.body(std::as_bytes(std::span(block)));
      if (exchange.deliver() == driver::Sent::gone) return exchange.abort();
    }
    if (gate != nullptr) {
      interpreter_.unlock();
      gate->pass();
      interpreter_.lock();
    }
    exchange.finish();
  }

  std::mutex interpreter_;
};

sockaddr_in loopback(in_port_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = port;
  return address;
}

/// Small sends do not wait for acknowledgments. What a listener accepts inherits it.
void send_at_once(int socket) {
  const int on = 1;
  EXPECT_EQ(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

/// A blocking connection and its requests.
class Client {
 public:
  explicit Client(in_port_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in address = loopback(port);
    send_at_once(fd_.get());
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void get(std::string_view target) {
    send("GET " + std::string(target) + " HTTP/1.1\r\nHost: iotax.test\r\n\r\n");
  }
  /// The next response; incomplete if the connection ends first.
  test::ReadAnswer answer() {
    for (;;) {
      test::AnswerReader reader(received_);
      if (std::optional<test::ReadAnswer> read = reader.next(false); read && read->complete) {
        received_.erase(0, received_.size() - reader.rest().size());
        return *read;
      }
      if (!receive()) return {};
    }
  }
  /// Wait for `bytes`, or fewer if the connection ends; answer() returns them.
  std::size_t delivered(std::size_t bytes) {
    while (received_.size() < bytes && receive()) {
    }
    return std::min(received_.size(), bytes);
  }
  /// Whether the server closes the connection without further bytes.
  [[nodiscard]] bool ends() { return received_.empty() && !receive(); }
  void close() { fd_.reset(); }
  void reset() {
    const linger now{1, 0};
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

 private:
  bool receive() {
    std::array<char, 65536> block;
    const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), 0);
    if (got > 0) received_.append(block.data(), static_cast<std::size_t>(got));
    return got > 0;
  }

  UniqueFd fd_;
  std::string received_;
};

/// A worker that serves in threads of the test, and logs to temporary files.
class Served {
 public:
  explicit Served(Config settings)
      : config_(std::move(settings)),
        errors_(*sys_.open_temporary("/tmp")),
        lines_(*sys_.open_temporary("/tmp")),
        log_(sys_),
        worker(sys_, config_, app, log_) {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    send_at_once(listener.get());
    sockaddr_in address = loopback(0);
    socklen_t bytes = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener.get(), any, bytes), 0);
    EXPECT_EQ(::listen(listener.get(), 64), 0);
    EXPECT_EQ(::getsockname(listener.get(), any, &bytes), 0);
    port = address.sin_port;
    EXPECT_TRUE(log_.open(errors_.get(), lines_.get(), {}));
    EXPECT_TRUE(worker.open());
    EXPECT_TRUE(worker.add_listener(listener.get(), "127.0.0.1"));
    threads_.emplace_back([this] { EXPECT_TRUE(worker.run()); });
    for (unsigned n = 1; n < config_.threads; ++n) {
      threads_.emplace_back([this, n] { worker.run_thread(n); });
    }
  }

  /// Wait until every thread of the worker has ended.
  void wait() {
    for (std::thread& thread : threads_) thread.join();
    EXPECT_TRUE(log_.flush(std::chrono::seconds{60}));
  }
  [[nodiscard]] std::size_t access_lines() {
    std::string text(static_cast<std::size_t>(sys_.file_info(lines_.get())->bytes), '\0');
    EXPECT_TRUE(sys_.pread(lines_.get(), std::as_writable_bytes(std::span(text)), 0));
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

 private:
  Sys sys_;
  Config config_;
  UniqueFd errors_;
  UniqueFd lines_;
  driver::LogSink<driver::NativeEnv> log_;
  std::vector<std::thread> threads_;

 public:
  ThreadedApplication app;
  driver::Worker worker;
  in_port_t port = 0;
};

/// All requests of one client in a round.
constexpr std::size_t kCallsPerRound = 8;
void ask_everything(Served& served, Client& client, unsigned number) {
  Gate& gate = served.app.gates[number];
  const std::string slow = "/slow?" + std::to_string(number);

  for (int n = 0; n < 3; ++n) client.get("/quick");
  for (int n = 0; n < 3; ++n) EXPECT_EQ(client.answer().content, "/quick");

  client.send("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" +
              std::string(1000, 'b'));
  client.send(std::string(1000, 'b'));
  EXPECT_EQ(client.answer().content, "2000");

  client.get("/big");
  EXPECT_EQ(client.answer().content.size(), kBigBytes);

  client.get(slow);
  client.get("/behind");
  gate.wait_entered();
  Client other(served.port);  // the network continues during calls
  other.send("GET  / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(other.answer().status, 400);
  gate.let_go();
  EXPECT_EQ(client.answer().content, "/slow");
  EXPECT_EQ(client.answer().content, "/behind");

  Client leaves(served.port);
  leaves.get(slow);
  gate.wait_entered();
  leaves.reset();
  gate.let_go();
}

struct Setting {
  unsigned threads;
  bool request_buffering;
};

class WorkerThreads : public testing::TestWithParam<Setting> {
 protected:
  static Config settings() {
    Config config;
    config.threads = GetParam().threads;
    config.request_buffering = GetParam().request_buffering;
    config.answer_memory_bytes = 20'000;
    config.limits.keep_alive_requests = 0;
    config.limits.keep_alive = config.queue_timeout = std::chrono::seconds{120};
    return config;
  }
};

TEST_P(WorkerThreads, ServeEveryClientAndExit) {
  constexpr unsigned kClients = 4;
  constexpr unsigned kRounds = 20;
  Served served(settings());
  std::latch asked(kClients);
  std::vector<std::thread> clients;
  for (unsigned number = 0; number < kClients; ++number) {
    clients.emplace_back([&, number] {
      Client client(served.port);
      for (unsigned round = 0; round < kRounds; ++round) ask_everything(served, client, number);
      asked.count_down();
      EXPECT_TRUE(client.ends());
    });
  }
  asked.wait();
  served.worker.stop(Stop::prompt);
  for (std::thread& client : clients) client.join();
  served.wait();
  EXPECT_EQ(served.app.calls, kClients * kRounds * kCallsPerRound);
  EXPECT_EQ(served.worker.status().requests, served.app.calls);
  EXPECT_EQ(served.worker.status().connections, 0U);
  EXPECT_EQ(served.access_lines(), served.app.calls + kClients * kRounds) << "one is refused";
}

TEST_P(WorkerThreads, FinishRunningRequestsWhenTheyAreStopped) {
  Served served(settings());
  Client client(served.port);
  client.get("/slow?0");
  served.app.gates[0].wait_entered();
  served.worker.stop(Stop::drain);
  served.app.gates[0].let_go();
  const test::ReadAnswer answer = client.answer();
  EXPECT_EQ(answer.content, "/slow");
  EXPECT_EQ(answer.fields.count("connection"), 1U);
  EXPECT_TRUE(client.ends());
  client.close();
  served.wait();
}

/// The thread creates the outbox and the new leader looks for one, both after the response to
/// the request before.
TEST(PipelinedRequests, HaveTheirResponsesSentWhileTheLastCallContinues) {
  Config config;
  config.threads = 1;
  Served served(config);
  Client client(served.port);
  for (int round = 0; round < 5; ++round) {
    const std::string quick = "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(quick + "GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
    served.app.gates[0].wait_entered();
    EXPECT_EQ(client.answer().content, "/quick");
    EXPECT_EQ(client.delivered(kHugeBytes), kHugeBytes);
    served.app.gates[0].let_go();
    EXPECT_EQ(client.answer().content.size(), kHugeBytes);
  }
  served.worker.stop(Stop::prompt);
  EXPECT_TRUE(client.ends());
  client.close();
  served.wait();
}

TEST(HungThreads, EachRequestGetsAResponse) {
  constexpr unsigned kClients = 2;
  constexpr unsigned kRounds = 10;
  Config config;
  config.threads = 3;
  config.request_timeout = std::chrono::milliseconds{20};
  config.timeout_grace = std::chrono::seconds{120};
  Served served(config);
  std::thread watch([&] {
    while (const auto event = served.worker.overdue().next_event()) {
      served.app.enter(0);
      served.worker.overdue().app_lock_acquired();
      // The others are left to the leader.
      if (driver::call_of(event->word) % 2 == 0)
        (void)served.worker.overdue().expire(event->thread, event->word);
      served.app.leave(0);
    }
  });
  std::latch asked(kClients);
  std::vector<std::thread> clients;
  for (unsigned number = 0; number < kClients; ++number) {
    clients.emplace_back([&, number] {
      for (unsigned round = 0; round < kRounds; ++round) {
        Client client(served.port);
        client.get("/quick");
        client.get("/slow?" + std::to_string(number));
        client.get("/behind");
        served.app.gates[number].wait_entered();
        EXPECT_EQ(client.answer().content, "/quick");
        EXPECT_EQ(client.answer().status, 504);
        EXPECT_TRUE(client.ends());
        served.app.gates[number].let_go();
      }
      asked.count_down();
    });
  }
  asked.wait();
  served.worker.stop(Stop::prompt);
  for (std::thread& client : clients) client.join();
  served.wait();
  watch.join();
  EXPECT_EQ(served.access_lines(), 2 * kClients * kRounds);
}

INSTANTIATE_TEST_SUITE_P(Threads, WorkerThreads,
                         testing::Values(Setting{1, true}, Setting{3, true}, Setting{3, false}),
                         [](const auto& made) {
                           return std::to_string(made.param.threads) +
                                  (made.param.request_buffering ? "" : "Streaming");
                         });

}  // namespace
}  // namespace iotax
