// Each system call of the main scenarios fails once, with each error that matters. Whatever fails:
// at most one client lacks a response, and can detect it; every other one gets all of its own; the
// worker continues, stops when ordered to, and leaves nothing open. Only the write to a pipe that
// wakes a thread is left out: it can fail only when the pipe is full, and then the reader wakes.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/answer_reader.h"
#include "support/fake_application.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using core::Duration;
using driver::Config;
using driver::Exchange;
using driver::Sent;
using driver::Stop;
using support::FakeApplication;
using support::ScriptedClient;
using support::ScriptedSys;

constexpr std::size_t kContentBytes = 1500;  // more than memory holds
constexpr std::size_t kBlocks = 6;
constexpr std::size_t kBlockBytes = 1000;

std::string path_of(const Exchange& e) { return std::string(e.head().path); }

void answer_with_content(Exchange& e) {
  std::array<std::byte, 300> block;
  std::size_t total = 0;
  for (;;) {
    const driver::BodyRead got = e.read_body(block);
    if (got.error != driver::BodyError::none) return e.fail(500, "no content");
    if (got.bytes == 0) break;
    total += got.bytes;
  }
  FakeApplication::answer(e, std::to_string(total));
}

void stream(Exchange& e) {
  core::ResponseHead head;
  head.status = "200 OK";
  e.respond(head);
  const std::string block(kBlockBytes, '.');
  for (std::size_t n = 0; n < kBlocks; ++n) {
    if (e.body(std::as_bytes(std::span(block))) == Sent::gone || e.deliver() == Sent::gone) {
      return e.abort();
    }
  }
  e.finish();
}

std::string get(std::string_view path) { return support::Rig<>::request(path); }
std::string post_to(std::string_view path) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kContentBytes) + "\r\n\r\n" +
         std::string(kContentBytes, 'b');
}

/// What one client sends, and must receive.
struct Guest {
  Duration at;
  std::string sends;
  std::vector<std::string> expected;  // "STATUS BODY", or "STATUS" of a rejection
  bool reads_slowly = false;
};

struct Scenario {
  const char* name;
  Config (*settings)();
  std::vector<Guest> (*guests)();
};

Config plain() {
  Config config;
  config.threads = 2;
  config.limits.rate_bytes_min = 0;
  config.limits.streaming_rate_bytes_min = 0;
  return config;
}

Config small_memory() {
  Config config = plain();
  config.body_memory_bytes = 500;
  config.answer_memory_bytes = 1000;
  return config;
}

Config streaming() {
  Config config = small_memory();
  config.request_buffering = false;
  return config;
}

const std::string kStreamed = "200 " + std::string(kBlocks * kBlockBytes, '.');
const std::string kRead = "200 " + std::to_string(kContentBytes);

const std::array kScenarios{
    Scenario{"Requests", plain,
             [] {
               return std::vector<Guest>{
                   {1ms, get("/quick") + get("/quick"), {"200 /quick", "200 /quick"}},
                   {1ms, get("/slow") + get("/quick"), {"200 /slow", "200 /quick"}},
                   {2ms, "GET  / HTTP/1.1\r\n\r\n", {"400"}},
                   {3ms, get("/slow"), {"200 /slow"}},
                   {5ms, get("/quick"), {"200 /quick"}},
                   {40ms, get("/quick"), {"200 /quick"}}};
             }},
    Scenario{"Content", small_memory,
             [] {
               return std::vector<Guest>{
                   {1ms, post_to("/reads") + post_to("/reads"), {kRead, kRead}},
                   {2ms, post_to("/quick") + get("/quick"), {"200 /quick", "200 /quick"}},
                   {3ms, post_to("/reads"), {kRead}}};
             }},
    Scenario{"ContentThatArrives", streaming,
             [] {
               return std::vector<Guest>{
                   {1ms, post_to("/reads") + get("/quick"), {kRead, "200 /quick"}},
                   {2ms, post_to("/reads"), {kRead}},
                   {4ms, get("/quick"), {"200 /quick"}}};
             }},
    Scenario{"Answers", small_memory,
             [] {
               return std::vector<Guest>{
                   {1ms, get("/streams") + get("/quick"), {kStreamed, "200 /quick"}, true},
                   {2ms, get("/file") + get("/quick"), {kStreamed, "200 /quick"}, true},
                   {3ms, get("/file"), {kStreamed}},
                   {4ms, get("/quick"), {"200 /quick"}}};
             }},
};

/// A scenario, with the nth call failing; 0: none.
class Attempt {
 public:
  Attempt(const Scenario& scenario, std::uint64_t nth, int error)
      : config_(scenario.settings()), app_(sys_), guests_(scenario.guests()) {
    sys_.record_calls(calls);
    views();
    listener_ = sys_.listen();
    for (std::size_t n = 0; n < guests_.size(); ++n) come(n);
    sys_.scheduler().set_end(sys_.now() + 200s);
    if (nth != 0) sys_.fail_nth(nth, error);
    run();
  }

  std::vector<std::string> calls;
  std::size_t lacking = 0;  // clients without all their responses
  std::string fault;

 private:
  void views() {
    app_.views["/quick"] = [](Exchange& e) { FakeApplication::answer(e, path_of(e)); };
    app_.views["/slow"] = [this](Exchange& e) {
      app_.sleep(5ms);
      FakeApplication::answer(e, path_of(e));
    };
    app_.views["/reads"] = answer_with_content;
    app_.views["/streams"] = stream;
    app_.views["/file"] = [this](Exchange& e) {
      driver::UniqueFd file(sys_.open_file(std::string(kBlocks * kBlockBytes, '.')));
      core::ResponseHead head;
      head.status = "200 OK";
      head.content_bytes = kBlocks * kBlockBytes;
      e.respond(head);
      if (e.body_file(std::move(file), 0, kBlocks * kBlockBytes) == Sent::gone) return e.abort();
      e.finish();
    };
  }

  void come(std::size_t n) {
    clients_.emplace_back(std::make_shared<support::scripted::Link>());
    const Guest& guest = guests_[n];
    sys_.after(guest.at, [this, n] {
      clients_[n] = sys_.connect(listener_);
      if (guests_[n].reads_slowly) clients_[n].read_by_hand(700);
      const std::string& bytes = guests_[n].sends;
      clients_[n].send(bytes.substr(0, bytes.size() / 2));
    });
    sys_.after(guest.at + 1ms, [this, n] {
      const std::string& bytes = guests_[n].sends;
      clients_[n].send(bytes.substr(bytes.size() / 2));
    });
    if (guest.reads_slowly) read_on(n, guest.at + 5ms);
  }
  void read_on(std::size_t n, Duration in) {
    sys_.after(in, [this, n] {
      clients_[n].read(700);
      if (!clients_[n].ended()) read_on(n, 5ms);
    });
  }

  void run() {
    auto worker = std::make_unique<support::Rig<>::Worker>(sys_, config_, app_, log_);
    const bool opened = worker->open() && worker->add_listener(listener_, "127.0.0.1:8000");
    bool served = false;
    if (opened) {
      std::vector<ScriptedSys::Thread> threads;  // one fewer if it cannot be started
      if (auto made = sys_.start_thread("app", [&] { worker->run_thread(1); })) {
        threads.push_back(std::move(*made));
      }
      sys_.after(1s, [&] { worker->stop(Stop::prompt); });
      served = bool(worker->run());
    }
    if (served) check_answers();
    if (log_.access_lines.size() < app_.calls.size()) blame("a call is not in the log");
    if (!app_.ended_with.empty()) blame("the process was ended");
    if (sys_.closed_while_watched() != 0) blame("a descriptor was closed while it was watched");
    worker.reset();
    blame(sys_.descriptor_fault());
  }

  void check_answers() {
    for (std::size_t n = 0; n < guests_.size(); ++n) {
      const std::size_t whole = whole_answers(n);
      if (whole == guests_[n].expected.size()) continue;
      ++lacking;
      if (!clients_[n].closed_by_server() && !clients_[n].was_reset()) {
        blame("client " + std::to_string(n) + " waits for an answer");
      }
    }
    if (lacking > 1) blame("more than one client lacks an answer");
  }

  /// The number of responses, each of which is correct. The rest is part of a response.
  std::size_t whole_answers(std::size_t n) {
    test::AnswerReader reader(clients_[n].received());
    std::size_t whole = 0;
    for (const std::string& expected : guests_[n].expected) {
      const auto answer = reader.rest().empty() ? std::nullopt : reader.next(false);
      if (!answer || !answer->complete) return whole;
      const std::string got = std::to_string(answer->status) +
                              (answer->status == 200 ? " " + answer->content : std::string());
      // A body that cannot be stored is rejected.
      if (answer->status == 500 || answer->status == 503 || answer->status == 507) return whole;
      if (got != expected) blame("client " + std::to_string(n) + " got " + got);
      ++whole;
    }
    if (!reader.rest().empty()) blame("bytes behind the last answer");
    return whole;
  }

  void blame(std::string text) {
    if (fault.empty()) fault = std::move(text);
  }

  ScriptedSys sys_;
  Config config_;
  support::RecordingLog log_;
  FakeApplication app_;
  std::vector<Guest> guests_;
  std::vector<ScriptedClient> clients_;
  int listener_ = -1;
};

class SimFailing : public testing::TestWithParam<Scenario> {};

TEST_P(SimFailing, AFailedSystemCallAffectsOneClientAtMost) {
  const Attempt whole(GetParam(), 0, 0);
  ASSERT_EQ(whole.fault, "");
  ASSERT_EQ(whole.lacking, 0U);
  std::size_t harmed = 0;
  for (const int error : {ENOMEM, EMFILE, ENOSPC, EIO, ECONNRESET, EAGAIN}) {
    for (std::size_t nth = 1; nth <= whole.calls.size(); ++nth) {
      const std::string& call = whole.calls[nth - 1];
      if (call == "write") continue;
      const Attempt attempt(GetParam(), nth, error);
      harmed += attempt.lacking;
      EXPECT_EQ(attempt.fault, "")
          << "call " << nth << ", " << call << ": " << std::strerror(error);
    }
  }
  EXPECT_GT(harmed, whole.calls.size() / 2);  // the failures are there
}

INSTANTIATE_TEST_SUITE_P(Scenarios, SimFailing, testing::ValuesIn(kScenarios),
                         [](const auto& made) { return std::string(made.param.name); });

}  // namespace
}  // namespace iotax
