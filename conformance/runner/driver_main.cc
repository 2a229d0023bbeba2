// The driver level: every case over a worker on the scripted system, with the reference application
// behind the interface of the driver; once with bodies complete before the call, once read while
// they arrive, and over both pollers.
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "runner/level.h"
#include "support/fake_application.h"

namespace {

using namespace iotax;
using support::ScriptedSys;

constexpr std::string_view kNoRead = "/noread";
constexpr std::string_view kAnswerText = "the reference application has read all of it\n";

/// Reads to the end, then records, then responds.
class ReferenceApplication final : public driver::Application {
 public:
  void enter(unsigned) noexcept override {}
  void leave(unsigned) noexcept override {}
  bool run_signal_handlers() noexcept override { return false; }
  void end_process(int) noexcept override {
    if (!stopping) violations.emplace_back("the worker ends the process");
  }

  void call(unsigned, driver::Exchange& exchange) noexcept override {
    const core::Head& head = exchange.head();
    auto request = conformance::seen_request(head);
    methods.emplace_back(head.method);
    const bool reads = head.path != kNoRead;
    std::string content;
    if (reads && !read(exchange, content)) {
      exchange.fail(500, "the body could not be read");
      return;
    }
    if (reads) check_size(exchange, content.size());
    conformance::complete(request, std::move(content), head.content);
    requests.push_back(std::move(request));
    answer(exchange);
  }

  std::vector<conformance::SeenRequest> requests;
  std::vector<std::string> methods;
  std::vector<std::string> violations;
  bool stopping = false;  // immediately: a call that still waits for its body may be aborted

 private:
  static bool read(driver::Exchange& exchange, std::string& content) {
    std::array<std::byte, 4096> block;
    for (;;) {
      const driver::BodyRead got = exchange.read_body(block);
      if (got.error != driver::BodyError::none) return false;
      if (got.bytes == 0) return true;
      content.append(reinterpret_cast<const char*>(block.data()), got.bytes);
    }
  }

  void check_size(const driver::Exchange& exchange, std::size_t read_bytes) {
    const auto known = exchange.body_bytes();
    if (known && *known != read_bytes) violations.emplace_back("body_bytes() is not what was read");
    const auto memory = exchange.body_in_memory();
    if (memory && memory->size() != read_bytes) {
      violations.emplace_back("body_in_memory() is not what was read");
    }
  }

  void answer(driver::Exchange& exchange) {
    const core::ResponseFields fields(std::array{core::Field{"Content-Type", "text/plain"}});
    core::ResponseHead head;
    head.status = "200 OK";
    head.fields = &fields;
    head.content_bytes = kAnswerText.size();
    exchange.respond(head);
    if (exchange.body(std::as_bytes(std::span(kAnswerText))) == driver::Sent::over_length) {
      violations.emplace_back("the response was truncated");
    }
    const driver::Sent end = exchange.finish();
    if (end == driver::Sent::short_length) violations.emplace_back("the response has no end");
  }
};

/// A worker in its own thread, and one client in the thread of the test. Time stands still
/// until every thread waits, so after an instant's sleep the worker has done all it can.
template <driver::Env E>
class DriverPlay {
 public:
  explicit DriverPlay(bool request_buffering) : worker_(sys_, config_, application_, log_) {
    config_.request_buffering = request_buffering;
    const int listener = sys_.listen();
    if (!worker_.open() || !worker_.add_listener(listener, "127.0.0.1:8000")) {
      application_.violations.emplace_back("the worker does not open");
      return;
    }
    thread_ = std::move(*sys_.start_thread("worker", [this] {
      if (!worker_.run()) application_.violations.emplace_back("the worker does not run");
    }));
    client_ = sys_.connect(listener);
  }
  DriverPlay(const DriverPlay&) = delete;
  ~DriverPlay() { stop(); }

  void receive(std::string_view octets) {
    if (!client_.closed_by_server()) client_.send(octets);
    pass(kInstant);
  }
  void eof() {
    client_.half_close();
    pass(kInstant);
  }
  void pass(core::Duration time) { sys_.sleep(time); }
  [[nodiscard]] bool closed() const {
    return client_.ended() || client_.was_reset() || client_.closed_by_server();
  }
  [[nodiscard]] bool saw_interim(int status) {
    const auto wanted = "HTTP/1.1 " + std::to_string(status) + " ";
    const bool found = client_.received().find(wanted, looked_at_) != std::string::npos;
    looked_at_ = client_.received().size();
    return found;
  }
  /// Ends the worker: what it leaves open is a violation too.
  conformance::Observed observed() {
    conformance::Observed result;
    result.output = client_.received();
    result.closed = closed();
    if (client_.was_reset())
      application_.violations.emplace_back("a reset could destroy the response");
    stop();
    result.requests = application_.requests;
    result.methods = application_.methods;
    result.violations = application_.violations;
    return result;
  }

 private:
  static constexpr core::Duration kInstant = std::chrono::microseconds{1};

  void stop() {
    application_.stopping = true;
    worker_.stop(driver::Stop::now);
    thread_.join();
  }

  ScriptedSys sys_;
  driver::Config config_;
  support::RecordingLog log_;
  ReferenceApplication application_;
  driver::BasicWorker<E> worker_;
  ScriptedSys::Thread thread_;
  support::ScriptedClient client_;
  std::size_t looked_at_ = 0;
};

template <driver::Env E>
conformance::Variant variant(std::string name, bool request_buffering) {
  conformance::Variant result;
  result.name = std::move(name);
  // A case that waits for 100 and never reads is about the server that reads first.
  result.applies = [request_buffering](const conformance::Case& subject) {
    return request_buffering || !(subject.noread && subject.stepwise);
  };
  result.run = [request_buffering](const conformance::Case& subject,
                                   const conformance::Cuts& cuts) {
    DriverPlay<E> play(request_buffering);
    return conformance::run_steps(subject, cuts, play);
  };
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  conformance::Level level;
  level.name = "driver";
  level.every_cut = false;
  level.variants.push_back(variant<support::ScriptedEnv>("bodies before the call, epoll", true));
  level.variants.push_back(variant<support::ScriptedEnv>("bodies while they arrive, epoll", false));
  level.variants.push_back(variant<support::ScriptedPollEnv>("bodies before the call, poll", true));
  return conformance::run_level(level, argc, argv);
}
