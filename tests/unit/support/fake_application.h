// A fake application behind the driver's interface, with its own lock as the application lock, and
// a worker around it on the scripted system. Everything runs on virtual time with a seed.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/field_rules.h"
#include "support/scripted_worker.h"

namespace iotax::support {

inline constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

[[nodiscard]] inline driver::Config with_threads(unsigned threads) {
  driver::Config config;
  config.threads = threads;
  return config;
}

/// Log lines, in order.
class RecordingLog final : public driver::Log {
 public:
  void access(std::string_view line) noexcept override {
    access_lines.emplace_back(line.substr(0, line.size() - 1));
  }
  void server(driver::Level, std::string_view text,
              const driver::RequestIds& about) noexcept override {
    server_lines.emplace_back(text);
    server_ids.emplace_back(about.request_id);
    server_ids.back().append(" ").append(about.trace_parent);
  }
  void application(const void*, std::string_view text, bool,
                   const driver::RequestIds&) noexcept override {
    server_lines.emplace_back(text);
  }
  bool flush(core::Duration) noexcept override { return true; }
  void reopen() noexcept override { ++reopened; }
  [[nodiscard]] driver::LogCounts counts() const noexcept override { return counted; }
  void count_request(int status, core::Duration took) noexcept override {
    requests.emplace_back(status, took);
  }
  [[nodiscard]] bool has_full_datagram() const noexcept override { return full; }
  void send_datagrams(bool all) noexcept override {
    sends.push_back(all);
    full = false;
  }

  std::vector<std::string> access_lines;
  std::vector<std::string> server_lines;
  std::vector<std::string> server_ids;  // of each: request id, space, traceparent
  int reopened = 0;
  driver::LogCounts counted;                             // what counts() returns
  std::vector<std::pair<int, core::Duration>> requests;  // for statsd: status and duration
  std::vector<bool> sends;                               // of send_datagrams()
  bool full = false;
};

/// Calls a view by path; the application lock is held by one thread at a time.
class FakeApplication final : public driver::Application {
 public:
  using View = std::function<void(driver::Exchange&)>;
  struct Call {
    std::string path;
    std::string query;
    unsigned thread;
    std::size_t native_thread;
    core::Instant at;
  };

  /// Threads from this number on do not belong to the worker: the watch, those that compute.
  static constexpr unsigned kOthers = 90;

  explicit FakeApplication(ScriptedSys& sys) : sys_(sys) {}

  void enter(unsigned thread) noexcept override {
    const bool counts = thread < kOthers;
    if (counts) waiting_most = std::max(waiting_most, ++waiting_);
    interpreter_.lock();
    if (counts) --waiting_;
  }
  void leave(unsigned) noexcept override { interpreter_.unlock(); }
  void call(unsigned thread, driver::Exchange& exchange) noexcept override {
    const std::string path(exchange.head().path);
    calls.push_back(
        {path, std::string(exchange.head().query), thread, sys_.running_thread(), sys_.now()});
    running.push_back(path);
    running_most = std::max(running_most, running.size());
    const auto view = views.find(path);
    if (view == views.end()) {
      answer(exchange, "hello");
    } else {
      view->second(exchange);
    }
    running.erase(std::find(running.begin(), running.end(), path));
  }
  bool run_signal_handlers() noexcept override {
    signal_runs.push_back(sys_.running_thread());
    if (signal_handler) signal_handler();
    return signal_handler_raises;
  }
  void end_process(int exit_code) noexcept override { ended_with.push_back(exit_code); }
  [[nodiscard]] bool trusts(const driver::Peer&) const noexcept override { return trusted; }
  [[nodiscard]] bool may_send_proxy_header(const driver::Peer&) const noexcept override {
    return sends_proxy_header;
  }
  /// The last value in X-Forwarded-For, if the peer is trusted and the value is acceptable.
  [[nodiscard]] driver::ClientOrigin client_of(
      const driver::Peer&, std::span<const core::Field> fields) const noexcept override {
    std::string found;
    for (const core::Field& field : fields) {
      if (core::is_forwarded_for(field.name)) found = field.value;
    }
    const bool is_address = std::all_of(found.begin(), found.end(), [](char c) {
      return (c >= '0' && c <= '9') || c == '.' || c == ':';
    });
    return {trusted && is_address ? found : std::string{}, fields_fault};
  }

  /// Respond 200 with `content` and its length.
  static void answer(driver::Exchange& exchange, std::string_view content) {
    core::ResponseHead head;
    head.status = "200 OK";
    head.content_bytes = content.size();
    exchange.respond(head);
    exchange.body(std::as_bytes(std::span(content)));
    exchange.finish();
  }
  /// Sleep like a blocking call: without the application lock.
  void sleep(core::Duration how_long) {
    interpreter_.unlock();
    sys_.sleep(how_long);
    interpreter_.lock();
  }

  bool trusted = false;  // every peer
  bool sends_proxy_header = true;
  std::string_view fields_fault;  // of requests with forwarding headers
  std::map<std::string, View, std::less<>> views;
  std::vector<Call> calls;
  std::vector<std::string> running;
  std::size_t running_most = 0;
  std::size_t waiting_most = 0;          // threads of the worker that waited for the lock
  std::vector<std::size_t> signal_runs;  // the native thread of each
  std::function<void()> signal_handler;  // empty: it does nothing
  bool signal_handler_raises = false;
  std::vector<int> ended_with;

 private:
  ScriptedSys& sys_;
  ScriptedSys::Mutex interpreter_;
  std::size_t waiting_ = 0;
};

/// A worker, its application threads and one listener. Script the clients with at() and after(),
/// then run().
template <driver::Env E = ScriptedEnv>
class Rig {
 public:
  using Worker = driver::BasicWorker<E>;

  explicit Rig(driver::Config settings = {}, std::uint64_t seed = 1)
      : sys(seed), config(std::move(settings)), app(sys), memory(config.threads, 1, config.counts) {
    listener = sys.listen();
    worker = std::make_unique<Worker>(sys, config, app, log, driver::LeadTuning{},
                                      driver::Slot{memory.scoreboard(), 0});
    if (!worker->open() || !worker->add_listener(listener, "127.0.0.1:8000")) std::abort();
  }

  /// Serve until stop() is called. The calling thread is application thread 0.
  void run() {
    std::vector<ScriptedSys::Thread> threads;
    for (unsigned n = 1; n < config.threads; ++n) {
      threads.push_back(std::move(*sys.start_thread("app", [this, n] { worker->run_thread(n); })));
    }
    if (!worker->run()) std::abort();
  }
  void stop_after(core::Duration delay, driver::Stop how = driver::Stop::prompt) {
    sys.after(delay, [this, how] { worker->stop(how); });
  }
  /// "/slow" answers "slow" after `lasts`.
  void slow_view(core::Duration lasts) {
    app.views["/slow"] = [this, lasts](driver::Exchange& e) {
      app.sleep(lasts);
      FakeApplication::answer(e, "slow");
    };
  }
  ScriptedClient connect() { return sys.connect(listener); }
  ScriptedClient get(std::string_view path) {
    ScriptedClient client = connect();
    client.send(request(path));
    return client;
  }
  static std::string request(std::string_view path) {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: iotax.test\r\n\r\n";
  }

  ScriptedSys sys;
  driver::Config config;
  RecordingLog log;
  FakeApplication app;
  driver::PrivateScoreboard memory;
  std::unique_ptr<Worker> worker;
  int listener = -1;
};

}  // namespace iotax::support
