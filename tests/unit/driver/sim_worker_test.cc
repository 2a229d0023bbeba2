// Seeded simulation of a whole worker: many clients, a virtual clock, short reads and writes, slow
// and failing views, resets and half-closes, take-overs at any point. A seed replays any failure:
// --gtest_filter='*/SEED'.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/fake_application.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Config;
using driver::Exchange;
using driver::Sent;
using driver::Stop;
using support::FakeApplication;
using support::Rig;
using support::ScriptedClient;

/// What one client does: requests in a row, perhaps pipelined, perhaps cut into pieces, perhaps
/// leaving early.
struct Plan {
  ScriptedClient client;
  std::vector<std::string> expected;  // a mark for each answer, in order
  bool leaves = false;                // resets or closes before its answers are there
  bool reads_slowly = false;
};

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed)
      : random_(seed * 7919 + 1), rig_(settings(), seed), seed_(seed) {
    rig_.sys.set_short_io(chance(2));
    views();
  }

  void run() {
    const int clients = 1 + draw(12);
    for (int n = 0; n < clients; ++n) plan(n);
    rig_.stop_after(60s, draw(2) == 0 ? Stop::drain : Stop::prompt);
    rig_.run();
    check();
  }

 private:
  Config settings() {
    Config config;
    config.threads = static_cast<unsigned>(1 + draw(4));
    config.answer_memory_bytes = 2000;
    config.body_memory_bytes = 500;
    config.request_buffering = !chance(4);
    config.limits.rate_bytes_min = 0;
    config.limits.keep_alive = 200s;
    config.limits.send_timeout = 200s;
    return config;
  }

  void views() {
    rig_.app.views["/quick"] = [](Exchange& e) { FakeApplication::answer(e, mark(e)); };
    rig_.app.views["/slow"] = [this](Exchange& e) {
      rig_.app.sleep(core::Duration{std::chrono::microseconds{draw(6000)}});
      FakeApplication::answer(e, mark(e));
    };
    rig_.app.views["/stream"] = [this](Exchange& e) {
      core::ResponseHead head;
      head.status = "200 OK";
      e.respond(head);
      for (int n = 0; n < 4; ++n) {
        const std::string block =
            n == 3 ? mark(e) : std::string(static_cast<std::size_t>(1 + draw(900)), '.');
        e.body(std::as_bytes(std::span(block)));
        if (e.deliver() == Sent::gone) return e.abort();
        if (chance(3)) rig_.app.sleep(core::Duration{std::chrono::microseconds{draw(3000)}});
      }
      e.finish();
    };
    rig_.app.views["/file"] = [this](Exchange& e) {
      const std::string content = std::string(3000, '.') + mark(e);
      core::ResponseHead head;
      head.status = "200 OK";
      head.content_bytes = content.size();
      e.respond(head);
      e.body_file(driver::UniqueFd(rig_.sys.open_file(content)), 0, content.size());
      e.finish();
    };
    rig_.app.views["/fails"] = [](Exchange& e) { e.fail(500, "failed"); };
    rig_.app.views["/in"] = [](Exchange& e) {
      std::string seen;
      std::array<std::byte, 300> block;
      for (;;) {
        const driver::BodyRead got = e.read_body(block);
        if (got.error != driver::BodyError::none) return e.fail(500, "no body");
        if (got.bytes == 0) break;
        seen.append(reinterpret_cast<const char*>(block.data()), got.bytes);
      }
      FakeApplication::answer(e, mark(e) + std::to_string(seen.size()));
    };
  }

  /// "<7>" for "?7": tells whose answer it is.
  static std::string mark(const Exchange& e) { return "<" + std::string(e.head().query) + ">"; }

  void plan(int n) {
    auto plan = std::make_unique<Plan>();
    Plan& p = *plan;
    plans_.push_back(std::move(plan));
    p.leaves = chance(8);
    p.reads_slowly = chance(5);
    std::string bytes;
    const int requests = 1 + draw(6);
    for (int r = 0; r < requests; ++r) {
      const std::string name = std::to_string(n) + "." + std::to_string(r);
      static constexpr std::array kPaths{"/quick", "/quick", "/slow", "/stream",
                                         "/file",  "/fails", "/in"};
      const std::string path = kPaths[static_cast<std::size_t>(draw(kPaths.size()))];
      const bool has_content = path == "/in";
      const std::string content(has_content ? static_cast<std::size_t>(draw(2000)) : 0, 'b');
      bytes += (has_content ? "POST " : "GET ") + path + "?" + name + " HTTP/1.1\r\nHost: a\r\n";
      if (has_content) bytes += "Content-Length: " + std::to_string(content.size()) + "\r\n";
      bytes += "\r\n" + content;
      p.expected.push_back(path == "/fails" ? "500" : "<" + name + ">");
    }
    const core::Duration start{std::chrono::microseconds{draw(20000)}};
    rig_.sys.after(start, [this, &p] {
      p.client = rig_.connect();
      if (p.reads_slowly) p.client.read_by_hand(static_cast<std::size_t>(200 + draw(700)));
    });
    // In pieces, over up to some milliseconds.
    core::Duration at = start + 1us;
    while (!bytes.empty()) {
      const auto size = chance(2) ? bytes.size() : 1 + static_cast<std::size_t>(draw(bytes.size()));
      rig_.sys.after(at, [&p, piece = bytes.substr(0, size)] { p.client.send(piece); });
      bytes.erase(0, size);
      at += core::Duration{std::chrono::microseconds{1 + draw(3000)}};
    }
    if (p.leaves) {
      const bool reset = chance(2);
      rig_.sys.after(start + core::Duration{std::chrono::microseconds{2 + draw(8000)}},
                     [&p, reset] {
                       if (reset) {
                         p.client.reset();
                       } else {
                         p.client.close();
                       }
                     });
    } else if (chance(4)) {
      rig_.sys.after(at, [&p] { p.client.half_close(); });
    }
    if (p.reads_slowly) {
      for (int k = 1; k < 400; ++k) rig_.sys.after(start + k * 20ms, [&p] { p.client.read(700); });
    }
  }

  void check() const {
    for (const auto& plan : plans_) {
      if (plan->leaves) continue;
      const std::string& got = plan->client.received();
      std::size_t at = 0;
      for (const std::string& expected : plan->expected) {
        const std::size_t found = got.find(expected, at);
        ASSERT_NE(found, std::string::npos)
            << "seed " << seed_ << ": " << expected << " is missing in\n"
            << got.substr(at) << "\n"
            << story(*plan);
        at = found + expected.size();
      }
      std::size_t answers = 0;
      for (auto s = got.find("HTTP/1.1 "); s != std::string::npos; s = got.find("HTTP/1.1 ", s + 1))
        ++answers;
      ASSERT_EQ(answers, plan->expected.size()) << "seed " << seed_ << "\n" << got;
    }
    ASSERT_EQ(rig_.sys.closed_while_watched(), 0U) << "seed " << seed_;
    ASSERT_EQ(rig_.worker->status().connections, 0U) << "seed " << seed_;
  }

  [[nodiscard]] std::string story(const Plan& plan) const {
    std::string text = "client: ";
    if (plan.reads_slowly) text += "reads slowly, ";
    if (plan.client.was_reset()) text += "was reset, ";
    if (plan.client.closed_by_server()) text += "closed by the server, ";
    text += std::to_string(plan.client.unread_by_server()) + " bytes not received by the server\n";
    for (const std::string& line : rig_.log.access_lines) text += line + "\n";
    for (const std::string& line : rig_.log.server_lines) text += line + "\n";
    return text;
  }

  bool chance(int one_in) { return draw(static_cast<std::uint64_t>(one_in)) == 0; }
  int draw(std::uint64_t bound) { return static_cast<int>(random_() % bound); }

  std::mt19937_64 random_;
  Rig<> rig_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Plan>> plans_;
};

class SimWorker : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SimWorker, AnswersEveryRequestOnceAndInOrder) {
  static constexpr std::uint64_t kSeedsPerTest = 50;
  for (std::uint64_t seed = GetParam() * kSeedsPerTest; seed < (GetParam() + 1) * kSeedsPerTest;
       ++seed) {
    Simulation(seed).run();
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Sim, SimWorker, testing::Range(std::uint64_t{0}, std::uint64_t{40}));

}  // namespace
}  // namespace iotax
