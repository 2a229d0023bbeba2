// The scenes. In each, two application threads and the spare contend for the lead, on a virtual
// clock. In the plain course a thread runs until it waits. At each atomic operation, lock and
// system call of the explored time a course may deviate: another runnable thread comes first, or
// the running thread is preempted for longer than the watch waits. Invariants:
//
//  - every request gets its response, complete, once and in order, long before the stop;
//  - a malformed request gets its 400 as soon as the watch has taken over the network;
//  - an idle connection is closed as soon as a stop begins;
//  - while one thread of the worker waits for the application lock, no other one does;
//  - a stop ends; then nothing is open.
#include "sim/exploration.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "support/answer_reader.h"
#include "support/fake_application.h"

namespace iotax::sim {

namespace {

using namespace std::chrono_literals;
using core::Duration;
using core::Instant;
using driver::Exchange;
using driver::Stop;
using support::FakeApplication;
using support::ScriptedClient;
using support::ScriptedSys;

constexpr Duration kTick = driver::LeadTuning{}.tick;
constexpr Duration kLostCore = 2 * kTick + 500us;  // for two checks of the watch
constexpr Duration kTakeOver = 2 * kTick;
constexpr Duration kStop = 1s;

class Play {
 public:
  explicit Play(const Deviations& deviations)
      : rig_(settings()), deviations_(deviations), begin_(rig_.sys.now()) {
    rig_.sys.scheduler().set_preemptions(1, 1, kLostCore);
    rig_.sys.scheduler().decide = [this](std::size_t ways) { return decide(ways); };
    rig_.sys.scheduler().set_end(begin_ + 100s);
    views();
  }

  // ---- for the scenes; times are relative to the start of the worker

  /// Explore deviations from `from` to `until`.
  void explore(Duration from, Duration until) {
    rig_.sys.after(from, [this] { exploring_ = true; });
    rig_.sys.after(until, [this] { exploring_ = false; });
  }
  /// A client that sends these requests together and must get "200 TARGET" for each.
  std::size_t asks(Duration at, const std::vector<std::string>& targets) {
    const std::size_t client = come(at);
    for (const std::string& target : targets) asks_also(at, client, target);
    return client;
  }
  void asks_also(Duration at, std::size_t client, const std::string& target) {
    guests_[client].expected.push_back("200 " + target);
    send(at, client, support::Rig<>::request(target));
  }
  /// The response closes the connection.
  void asks_once(Duration at, const std::string& target) {
    const std::size_t client = come(at);
    guests_[client].expected.push_back("200 " + target);
    guests_[client].leaves_it_to_close = true;
    send(at, client, "GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  }
  /// A client that must get a 400 within `within`.
  void errs(Duration at, Duration within) {
    const std::size_t client = come(at);
    guests_[client].expected.emplace_back("400");
    guests_[client].by = begin_ + at + within;
    send(at, client, "GET  / HTTP/1.1\r\n\r\n");
  }
  /// The connection of `client` must end before `by`.
  void is_ended(Duration by, std::size_t client) { guests_[client].ended_by = begin_ + by; }
  void resets(Duration at, std::size_t client) {
    guests_[client].expected.clear();
    rig_.sys.after(at, [this, client] { guests_[client].client.reset(); });
  }
  /// Another thread of the process holds the application lock.
  void computes(Duration at, Duration lasts) {
    rig_.sys.after(at, [this, lasts] {
      others_.push_back(std::move(*rig_.sys.start_thread("computing", [this, lasts] {
        rig_.app.enter(FakeApplication::kOthers);
        rig_.sys.sleep(lasts);
        rig_.app.leave(FakeApplication::kOthers);
      })));
    });
  }
  void signals(Duration at) {
    signalled_ = true;
    rig_.sys.after(at, [this] {
      static constexpr std::array kNumber{std::byte{10}};
      (void)rig_.sys.write(rig_.worker->wakeup_fd(), kNumber);
    });
  }
  /// Stop from a separate thread.
  void stops(Duration at, Stop how) {
    // A drain lets idle connections send one more request; a client with its last response has a
    // second to read it.
    stopped_by_ = at + (how == Stop::drain ? 3s : 1s) + kTick;
    rig_.sys.after(at, [this, how] {
      others_.push_back(
          std::move(*rig_.sys.start_thread("stopping", [this, how] { rig_.worker->stop(how); })));
    });
  }
  /// No two threads of the worker may wait for the application lock at the same time.
  void one_waits() { one_waits_ = true; }
  /// No call may count as slow.
  void none_is_slow() { none_is_slow_ = true; }

  Course run() {
    if (stopped_by_ == Duration{}) {
      rig_.sys.after(kStop - 100ms, [this] { check_answers(); });
      stops(kStop, Stop::prompt);
    }
    rig_.run();
    others_.clear();
    check();
    if (deviations_.size() > used_) blame("the course has no such point");
    return {fault_, fault_.empty() ? "" : story(), ways_};
  }

 private:
  struct Guest {
    ScriptedClient client;
    std::vector<std::string> expected;  // status, and body unless it is a rejection
    Instant by = core::kNever;          // deadline of the last response
    Instant ended_by = core::kNever;    // deadline for the end of its connection
    bool leaves_it_to_close = false;    // the server ends the connection after the response
  };

  static driver::Config settings() {
    driver::Config config;
    config.threads = 2;
    config.limits.keep_alive = 200s;
    config.limits.rate_bytes_min = 0;
    return config;
  }

  std::size_t decide(std::size_t ways) {
    if (!exploring_) return 0;
    const std::size_t point = ways_.size();
    ways_.push_back(ways);
    if (used_ == deviations_.size() || deviations_[used_].point != point) return 0;
    return std::min(deviations_[used_++].way, ways - 1);
  }

  /// "/sleeps?2000.a" lasts for 2000 us.
  static Duration lasts(const Exchange& e) {
    return std::chrono::microseconds{std::stoi(std::string(e.head().query))};
  }
  static std::string target(const Exchange& e) {
    return std::string(e.head().path) + "?" + std::string(e.head().query);
  }
  void views() {
    auto& views = rig_.app.views;
    views["/quick"] = [](Exchange& e) { FakeApplication::answer(e, target(e)); };
    views["/sleeps"] = [this](Exchange& e) {
      rig_.app.sleep(lasts(e));
      FakeApplication::answer(e, target(e));
    };
    views["/streams"] = [this](Exchange& e) {
      core::ResponseHead head;
      head.status = "200 OK";
      const std::string content = target(e);
      e.respond(head);
      rig_.app.sleep(lasts(e));
      for (const char& letter : content) {
        e.body(std::as_bytes(std::span(&letter, 1)));
        if (letter == '?') (void)e.deliver();
      }
      e.finish();
    };
  }

  std::size_t come(Duration at) {
    guests_.push_back(
        {ScriptedClient(std::make_shared<support::scripted::Link>()), {}, core::kNever});
    const std::size_t client = guests_.size() - 1;
    rig_.sys.after(at, [this, client] { guests_[client].client = rig_.connect(); });
    return client;
  }
  void send(Duration at, std::size_t client, const std::string& bytes) {
    rig_.sys.after(at, [this, client, bytes] { guests_[client].client.send(bytes); });
  }

  void check() {
    check_answers();
    const Duration slack = static_cast<Duration::rep>(deviations_.size()) * kLostCore;
    for (const Guest& guest : guests_) {
      if (guest.by != core::kNever && guest.client.told_at() > guest.by + slack) {
        blame("the network waited: 400 came " +
              std::to_string((guest.client.told_at() - guest.by) / 1us) + " us too late");
      }
      if (guest.ended_by != core::kNever && guest.client.ended_at() > guest.ended_by + slack) {
        blame("a connection ended " +
              std::to_string((guest.client.ended_at() - guest.ended_by) / 1us) + " us too late");
      }
    }
    if (one_waits_ && rig_.app.waiting_most > 1) {
      blame("a second thread waits for the application lock");
    }
    if (none_is_slow_ && rig_.worker->status().direct) {
      blame("quick calls were dispatched to other threads");
    }
    if (signalled_ && rig_.app.signal_runs.empty()) blame("no signal handler ran");
    for (const std::size_t thread : rig_.app.signal_runs) {
      if (thread != 0) blame("a signal handler ran in another thread");
    }
    if (!rig_.app.ended_with.empty()) blame("the process was ended");
    std::size_t refused = 0;
    for (const Guest& guest : guests_) {
      refused += guest.client.received().find("HTTP/1.1 400 ") != std::string::npos ? 1 : 0;
    }
    if (rig_.log.access_lines.size() != rig_.app.calls.size() + refused) {
      blame("not every request has one line in the access log");
    }
    if (rig_.sys.now() > begin_ + stopped_by_ + slack) blame("the stop took too long");
    if (rig_.worker->status().connections != 0) blame("connections are left");
    if (rig_.sys.closed_while_watched() != 0) blame("a descriptor was closed while it was watched");
    rig_.worker.reset();
    blame(rig_.sys.descriptor_fault());
  }

  void check_answers() {
    for (std::size_t n = 0; n < guests_.size(); ++n) {
      const Guest& guest = guests_[n];
      test::AnswerReader reader(guest.client.received());
      for (const std::string& expected : guest.expected) {
        const auto answer = reader.rest().empty() ? std::nullopt : reader.next(false);
        if (!answer || !answer->complete) {
          blame("client " + std::to_string(n) + " has no response: " + expected);
          return;
        }
        const bool refusal = answer->status != 200;
        const std::string got =
            std::to_string(answer->status) + (refusal ? "" : " " + answer->content);
        if (got != expected) blame("client " + std::to_string(n) + " got " + got);
      }
      if (guest.leaves_it_to_close && !guest.client.ended()) {
        blame("client " + std::to_string(n) + " waits for the end of its connection");
      }
      if (!guest.expected.empty() && !reader.rest().empty()) blame("bytes after the last response");
    }
  }

  void blame(std::string text) {
    if (fault_.empty()) fault_ = std::move(text);
  }

  [[nodiscard]] std::string story() const {
    std::string text;
    for (const Guest& guest : guests_) text += "client:\n" + guest.client.received() + "\n";
    for (const auto& call : rig_.app.calls) {
      text += std::to_string((call.at - begin_) / 1us) + " us " + call.path + "?" + call.query +
              " in thread " + std::to_string(call.thread) + "\n";
    }
    for (const std::string& line : rig_.log.server_lines) text += line + "\n";
    return text;
  }

  support::Rig<> rig_;
  const Deviations& deviations_;
  const Instant begin_;
  std::size_t used_ = 0;
  bool exploring_ = false;
  std::vector<std::size_t> ways_;
  std::vector<Guest> guests_;
  std::vector<ScriptedSys::Thread> others_;  // threads that do not belong to the worker
  Duration stopped_by_{};
  bool one_waits_ = false;
  bool none_is_slow_ = false;
  bool signalled_ = false;
  std::string fault_;
};

// ---- the scenes

/// A call ends just as it is found late; there is a pipelined request after it.
void comes_back(Play& play) {
  play.asks(10ms, {"/sleeps?2000.a", "/quick?b", "/quick?c"});
  play.errs(11ms, kTakeOver);
  play.explore(10ms, 14ms);
}

/// There are unsent responses before the one that the late thread is writing.
void has_answers_before(Play& play) {
  play.asks(10ms, {"/quick?a", "/streams?2000.b", "/quick?c"});
  play.explore(11ms, 14ms);
}

/// The client sends during its request: the session is unregistered.
void hears_more(Play& play) {
  const std::size_t client = play.asks(10ms, {"/sleeps?3000.a"});
  play.asks_also(11ms, client, "/quick?b");
  play.asks_also(30ms, client, "/quick?c");
  play.explore(11500us, 15ms);
}

/// The next request arrives while a late thread returns its session.
void hears_more_at_the_end(Play& play) {
  const std::size_t client = play.asks(10ms, {"/sleeps?4000.a"});
  play.asks_also(14ms, client, "/quick?b");
  play.asks_also(30ms, client, "/quick?c");
  play.explore(13500us, 16ms);
}

/// A request waits during a takeover, its session is unregistered meanwhile, and the next leader
/// responds.
void waits_and_hears_more(Play& play) {
  play.asks(10ms, {"/sleeps?3000.a"});
  play.asks(10ms, {"/sleeps?6000.b"});
  const std::size_t client = play.asks(10ms, {"/quick?c"});
  play.asks_also(13ms, client, "/quick?d");
  play.asks_also(30ms, client, "/quick?e");
  play.explore(12ms, 15ms);
}

/// A client disconnects during its call.
void is_left(Play& play) {
  const std::size_t client = play.asks(10ms, {"/sleeps?4000.a"});
  play.resets(13ms, client);
  play.asks(12500us, {"/quick?b"});
  play.explore(12500us, 16ms);
}

/// Both threads are late, one with a connection that must be closed: mail for the leader.
void both_late(Play& play) {
  play.asks_once(10ms, "/sleeps?5000.a");
  play.asks(12500us, {"/sleeps?2500.b"});
  play.asks(14ms, {"/quick?c"});
  play.explore(14500us, 17ms);
}

/// A late thread claims the parked lead and lends it: the watch must wake up.
void overtakes(Play& play) {
  play.asks(10ms, {"/sleeps?20000.a"});
  play.asks(12500us, {"/sleeps?2500.b"});
  play.asks(15100us, {"/sleeps?9000.c"});
  play.errs(18ms, kTick / 2);
  play.explore(14900us, 17500us);
}

/// The same, and the new leader sleeps when the other thread has mail for it.
void overtakes_and_sleeps(Play& play) {
  play.asks_once(10ms, "/sleeps?8000.a");
  play.asks(12500us, {"/sleeps?2500.b"});
  play.asks(16ms, {"/quick?c"});
  play.explore(15900us, 19ms);
}

/// Another thread of the process computes: threads wait for the application lock.
void waits_for_the_interpreter(Play& play) {
  play.computes(10ms, 8ms);
  play.asks(10100us, {"/quick?a"});
  play.asks(10200us, {"/quick?b"});
  play.asks(13ms, {"/quick?c"});
  play.errs(13ms, kTick);
  play.one_waits();
  play.explore(10ms, 13500us);
}

/// The same repeatedly: a call is not slow because it waits.
void waits_often_for_the_interpreter(Play& play) {
  for (int n = 0; n < 12; ++n) {
    const Duration at = std::chrono::milliseconds{10 + 20 * n};
    play.computes(at, 5ms);
    play.asks(at + 100us, {"/quick?" + std::to_string(n)});
  }
  play.none_is_slow();
  play.explore(230ms, 236ms);
}

/// The watch falls asleep while a thread lends the lead.
void wakes_the_watch(Play& play) {
  play.asks(10ms, {"/quick?a"});
  play.asks(22ms, {"/sleeps?9000.b"});
  play.errs(23ms, kTakeOver);
  play.explore(20900us, 24ms);
}

/// Nearly every call is slow: requests go to idle threads, each of which wakes the next.
void dispatches(Play& play) {
  for (int n = 0; n < 8; ++n) {
    play.asks(std::chrono::milliseconds{10 * n}, {"/sleeps?4000." + std::to_string(n)});
  }
  play.asks(100ms, {"/sleeps?2500.a"});
  play.asks(103ms, {"/quick?b"});
  play.asks(103ms, {"/quick?c"});
  play.asks(103ms, {"/quick?d"});
  play.explore(102400us, 104ms);
}

/// A signal arrives during a call of the thread that handles signals.
void is_signalled(Play& play) {
  play.asks(10ms, {"/sleeps?3000.a"});
  play.signals(11ms);
  play.asks(13ms, {"/quick?b"});
  play.explore(11500us, 14500us);
}

/// The stop arrives while a late thread returns its session.
void is_stopped(Play& play) {
  play.is_ended(14ms + kTakeOver, play.asks(10ms, {"/sleeps?4000.a"}));
  play.stops(14ms, Stop::prompt);
  play.explore(13900us, 15ms);
}

/// The same while both threads are idle, and a request has just arrived.
void is_stopped_at_rest(Play& play) {
  play.asks(10ms, {"/quick?a"});
  play.stops(10ms, Stop::drain);
  play.explore(9900us, 12ms);
}

struct Scene {
  std::string_view name;
  void (*script)(Play&);
};

constexpr std::array kScenes{
    Scene{"comes-back", comes_back},
    Scene{"has-answers-before", has_answers_before},
    Scene{"hears-more", hears_more},
    Scene{"hears-more-at-the-end", hears_more_at_the_end},
    Scene{"waits-and-hears-more", waits_and_hears_more},
    Scene{"is-left", is_left},
    Scene{"both-late", both_late},
    Scene{"overtakes", overtakes},
    Scene{"overtakes-and-sleeps", overtakes_and_sleeps},
    Scene{"waits-for-the-interpreter", waits_for_the_interpreter},
    Scene{"waits-often-for-the-interpreter", waits_often_for_the_interpreter},
    Scene{"wakes-the-watch", wakes_the_watch},
    Scene{"dispatches", dispatches},
    Scene{"is-signalled", is_signalled},
    Scene{"is-stopped", is_stopped},
    Scene{"is-stopped-at-rest", is_stopped_at_rest},
};

}  // namespace

std::vector<std::string_view> scenes() {
  std::vector<std::string_view> names;
  for (const Scene& scene : kScenes) names.push_back(scene.name);
  return names;
}

Course play(std::string_view scene, const Deviations& deviations) {
  Play made(deviations);
  const auto* const found = std::find_if(kScenes.begin(), kScenes.end(),
                                         [&](const Scene& one) { return one.name == scene; });
  if (found == kScenes.end()) return {"there is no scene " + std::string(scene), "", {}};
  found->script(made);
  return made.run();
}

}  // namespace iotax::sim
