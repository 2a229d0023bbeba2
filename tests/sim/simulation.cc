// The parts of a schedule, and the invariants:
//
//  1. Every complete request gets exactly one response, complete and in order, or the connection
//     visibly ends where a response is missing. It ends so only for a reason: the client
//     disconnected, the application aborted, a system call failed, the worker was stopped.
//  2. No client is forgotten: long before the stop every client has all its responses.
//  3. A request reaches the application at most once. It has one line in the access log, with the
//     status that its client got, also when the server rejects or drops it.
//  4. Deadlines are kept: an idle connection is closed at its deadline and not before, and an
//     incomplete request is rejected at its deadline; a call over --request-timeout gets a response
//     from the server; the application never delays decisions that depend on the network alone by
//     more than a takeover. Time in which the process was frozen counts for none of them: input
//     that had arrived is served.
//  5. Nothing grows without bound: descriptors, temporary files; no turn continues without time
//     passing. Bodies release their storage, and a client that does not read its responses causes
//     no further calls. A client that reads steadily is never disconnected.
//  6. Signal handlers run in thread 0, and soon.
//  7. A stop ends; then every descriptor is closed, once, and not while it is watched.
//  8. A thread that only waits for the application lock does not count as slow, and no second
//     thread is woken.
#include "sim/simulation.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "driver/os/poller_poll.h"
#include "support/answer_reader.h"
#include "support/watched_rig.h"

namespace iotax::sim {

namespace {

using namespace std::chrono_literals;
using core::Duration;
using core::Instant;
using driver::BodyError;
using driver::Config;
using driver::Exchange;
using driver::Sent;
using driver::Stop;
using support::FakeApplication;
using support::ScriptedClient;
using support::ScriptedEnv;
using support::ScriptedPollEnv;
using support::ScriptedSys;
using support::WatchedRig;

constexpr Duration kEnd = 60s;            // time of the stop, unless it comes early
constexpr Duration kRequestTimeout = 2s;  // if set; longer than half a second, a freeze
constexpr Duration kKeepAlive = 5s;       // if connections stay idle
constexpr Duration kReceiveTimeout = 2s;
constexpr std::size_t kAnswerBytesMin = 100;
constexpr Duration kSendTimeout = 800ms;  // if slow readers are steady
constexpr Duration kTakeOver = 5ms;       // two ticks of the watch, a turn, and a margin
constexpr Duration kTimerSlack = 10ms;    // the wheel's tick, rounded, and a margin
constexpr Duration kGraceful = 10s;

/// What a request makes the application do.
enum class Kind : std::uint8_t {
  quick,
  slow,      // waits without the application lock
  computes,  // holds the application lock for a while
  stream,    // blocks, with pauses
  big,       // larger than the memory for unsent output of a slow reader
  file,
  reads,    // reads the body
  ignores,  // ignores the body
  fails,    // 500 by the server
  breaks,   // raises after the head
  short_,   // a shorter body than its Content-Length
  hangs,    // for seconds
  bad,      // not valid HTTP: 400
  stops,    // incomplete: part of the body is missing, or part of the head
};

struct Request {
  std::string name;
  Kind kind = Kind::quick;
  std::size_t content_bytes = 0;
  bool http_1_0 = false;
  bool expects_100 = false;  // although its client does not wait for 100
};

struct Plan {
  ScriptedClient client{std::make_shared<support::scripted::Link>()};  // replaced when it connects
  std::vector<Request> requests;
  Instant sent_at{};    // when the last byte was sent
  bool leaves = false;  // resets or closes at a random time
  bool reads_slowly = false;
  bool reads_late = false;                 // reads nothing before it has sent its last requests
  std::size_t calls_when_full = SIZE_MAX;  // calls when its unread responses filled the network
  bool half_closes = false;
  bool one_request_at_once = false;  // the request was sent in one piece, alone
};

template <driver::Env E>
class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed * 7919 + 1), rig_(settings(), seed) {
    rig_.sys.scheduler().set_switches(std::uint64_t{2} << draw(6));
    rig_.sys.set_short_io(chance(2));
    if (chance(3)) rig_.sys.set_interruptions(2 + draw(20));
    preemptions();
    freezes();
    begin_ = rig_.sys.now();
    request_memory_ = rig_.worker->intake().budget().request_memory.left();
    response_memory_ = rig_.worker->intake().budget().response_memory.left();
    rig_.sys.scheduler().set_end(begin_ + kEnd + kGraceful + 60s);
    views();
  }

  Verdict run() {
    const int clients = 1 + static_cast<int>(draw(12));
    if (chance(4)) arrivals_ *= 20;  // so rare that the watch sleeps in between
    only_quick_ = chance(8);
    plans_.reserve(static_cast<std::size_t>(clients));
    for (int n = 0; n < clients; ++n) plan(n);
    background();
    signals();
    trouble();
    plan_stop();
    rig_.sys.after(kEnd - 1s, [this] { before_the_end(); });
    rig_.run();
    ended_at_ = rig_.sys.now();
    check();
    Verdict verdict{fault_, fault_.empty() ? "" : story()};
    return verdict;
  }

 private:
  // ---- random choices

  Config settings() {
    Config config;
    config.threads = static_cast<unsigned>(1 + draw(4));
    config.answer_memory_bytes = 2000;
    config.body_memory_bytes = 500;
    config.request_buffering = !chance(4);
    config.limits.rate_bytes_min = 0;
    config.limits.streaming_rate_bytes_min = 0;
    config.limits.keep_alive = 200s;
    config.limits.send_timeout = chance(3) ? kSendTimeout : 200s;
    config.limits.receive_timeout = kReceiveTimeout;
    config.graceful_timeout = kGraceful;
    if (chance(4)) config.limits.keep_alive = kKeepAlive;
    if (chance(4)) config.request_timeout = kRequestTimeout;
    if (chance(8)) config.connections_max = 1 + draw(4);
    if (chance(8)) config.queued_max = 1 + draw(3);
    if (chance(4)) config.spool_bytes_max = 1500;
    may_end_ = config.connections_max != 0;
    may_reject_ = config.queued_max < 1000;
    bodies_may_fail_ = config.spool_bytes_max < 10'000;
    return config;
  }

  /// Threads are preempted at any operation, for longer than the watch waits.
  void preemptions() {
    if (chance(2)) return;
    const auto most = static_cast<unsigned>(1 + draw(4));
    static constexpr Duration kLongest = 5ms;
    rig_.sys.after(1us, [this, most, one_in = std::uint64_t{1} << draw(8)] {  // once it serves
      rig_.sys.scheduler().set_preemptions(most, one_in, kLongest);
    });
    slack_ += most * kLongest;
  }

  /// All threads are stopped for longer than most timeouts, while clients and the network continue.
  void freezes() {
    if (!chance(4)) return;
    const auto most = static_cast<unsigned>(1 + draw(3));
    static constexpr Duration kLongest = 8s;
    rig_.sys.after(1us, [this, most, one_in = std::uint64_t{16} << draw(8)] {  // once it serves
      rig_.sys.scheduler().set_freezes(most, one_in, kLongest);
    });
    slack_ += most * kLongest;
  }

  void views() {
    auto& views = rig_.app.views;
    views["/quick"] = [](Exchange& e) { FakeApplication::answer(e, mark(e)); };
    views["/slow"] = [this](Exchange& e) {
      rig_.app.sleep(microseconds(6000));
      FakeApplication::answer(e, mark(e));
    };
    views["/computes"] = [this](Exchange& e) {
      rig_.sys.sleep(microseconds(3000));
      FakeApplication::answer(e, mark(e));
    };
    views["/hangs"] = [this](Exchange& e) {
      // Long after its timeout; while the server responds to it; or just at its timeout.
      const Duration over = chance(2) ? 1s : microseconds(chance(2) ? 20'000 : 200);
      rig_.app.sleep(kRequestTimeout + over);
      FakeApplication::answer(e, mark(e));
    };
    views["/stream"] = [this](Exchange& e) { stream(e, 4, 900); };
    views["/big"] = [this](Exchange& e) { stream(e, 8, 3000); };
    views["/file"] = [this](Exchange& e) {
      const std::string content = std::string(3000, '.') + mark(e);
      core::ResponseHead head;
      head.status = "200 OK";
      head.content_bytes = content.size();
      e.respond(head);
      driver::UniqueFd file(rig_.sys.open_file(content));
      if (!file) return e.abort();
      if (e.body_file(std::move(file), 0, content.size()) == Sent::gone) return e.abort();
      e.finish();
    };
    views["/fails"] = [](Exchange& e) { e.fail(500, "failed"); };
    views["/breaks"] = [this](Exchange& e) {
      begin(e);
      if (chance(2)) give(e, "....");
      e.abort();
    };
    views["/short"] = [](Exchange& e) {
      begin(e, 100);
      give(e, "....");
      e.finish();
    };
    views["/reads"] = [](Exchange& e) {
      std::string seen;
      std::array<std::byte, 300> block;
      for (;;) {
        const driver::BodyRead got = e.read_body(block);
        if (got.error != BodyError::none) return e.fail(500, "no body");
        if (got.bytes == 0) break;
        seen.append(reinterpret_cast<const char*>(block.data()), got.bytes);
      }
      FakeApplication::answer(e, mark(e) + std::to_string(seen.size()));
    };
    views["/ignores"] = views["/quick"];
  }

  static void begin(Exchange& e, std::optional<std::uint64_t> length = std::nullopt) {
    core::ResponseHead head;
    head.status = "200 OK";
    head.content_bytes = length;
    e.respond(head);
  }

  static Sent give(Exchange& e, std::string_view block) {
    const Sent sent = e.body(std::as_bytes(std::span(block)));
    return sent == Sent::ok ? e.deliver() : sent;
  }

  void stream(Exchange& e, int blocks, std::uint64_t bytes_max) {
    begin(e);
    for (int n = 1; n < blocks; ++n) {
      if (give(e, std::string(1 + draw(bytes_max), '.')) == Sent::gone) return e.abort();
      if (chance(3)) rig_.app.sleep(microseconds(3000));
    }
    if (give(e, mark(e)) == Sent::gone) return e.abort();
    e.finish();
  }

  /// "<7>" for "?7": identifies the request of a response.
  static std::string mark(const Exchange& e) { return "<" + std::string(e.head().query) + ">"; }

  static std::string_view path_of(Kind kind) {
    static constexpr std::array<std::string_view, 14> kPaths{
        "quick",   "slow",  "computes", "stream", "big",   "file", "reads",
        "ignores", "fails", "breaks",   "short",  "hangs", "",     "reads"};
    return kPaths.at(static_cast<std::size_t>(kind));
  }

  Kind draw_kind() {
    static constexpr std::array kOften{Kind::quick, Kind::quick, Kind::quick,  Kind::slow,
                                       Kind::slow,  Kind::file,  Kind::stream, Kind::reads};
    if (only_quick_) return Kind::quick;
    if (!chance(4)) return kOften.at(draw(kOften.size()));
    const auto kind = static_cast<Kind>(draw(static_cast<std::uint64_t>(Kind::bad)));
    if (kind == Kind::hangs && ++hung_ > 2) return Kind::slow;
    return kind;
  }

  void plan(int n) {
    Plan& p = *plans_.emplace_back(std::make_unique<Plan>());
    p.leaves = chance(8);
    p.reads_slowly = chance(5);
    std::string bytes;
    if (chance(8)) {
      bytes = "GET  / HTTP/1.1\r\n\r\n";
      p.requests.push_back({std::to_string(n) + ".bad", Kind::bad, 0, false, false});
    } else {
      const int requests = 1 + static_cast<int>(draw(6));
      for (int r = 0; r < requests; ++r) {
        Request request{std::to_string(n) + "." + std::to_string(r), draw_kind(), 0, false, false};
        if (r + 1 == requests) {
          if (!only_quick_ && chance(8)) request.kind = Kind::stops;
          request.http_1_0 = chance(8);
        }
        bytes += text_of(request);
        p.requests.push_back(request);
      }
    }
    const Duration start = microseconds(arrivals_);
    const bool times_readers = rig_.config.limits.send_timeout == kSendTimeout;
    p.reads_late = p.reads_slowly && !times_readers && !p.leaves && p.requests.size() > 1;
    const bool in_steps = p.reads_slowly && times_readers;
    rig_.sys.after(start, [this, &p, in_steps] {
      p.client = rig_.connect();
      if (p.reads_slowly) p.client.read_by_hand(in_steps ? 5000 : 200 + draw(700));
      if (in_steps) p.client.take_in_steps(1 + draw(4800));
    });
    if (p.reads_late) {
      const std::size_t half = bytes.size() / 2;
      send_in_pieces(p, start + 1s, bytes.substr(half));
      bytes.resize(half);
      rig_.sys.after(start + 900ms, [this, &p] {
        // The responses exceed what the network holds, without the one that may still run.
        const std::size_t calls = calls_of(p);
        if (p.client.has_full_room() && calls > 1 &&
            (calls - 1) * kAnswerBytesMin > p.client.room()) {
          p.calls_when_full = calls;
        }
      });
      rig_.sys.after(start + 4s, [this, &p] {
        if (p.calls_when_full != SIZE_MAX && calls_of(p) > p.calls_when_full + 1) {
          blame(p, "its requests are called though it reads no responses");
        }
      });
    }
    send_in_pieces(p, start + 1us, std::move(bytes));
    if (p.leaves) {
      const bool reset = chance(2);
      rig_.sys.after(start + 2us + microseconds(8000), [&p, reset] {
        if (reset) {
          p.client.reset();
        } else {
          p.client.close();
        }
      });
    } else if (chance(4)) {
      p.half_closes = true;
      rig_.sys.at(p.sent_at + 1us, [&p] { p.client.half_close(); });
    }
    if (p.reads_slowly) {
      read_now_and_then(p, start + (p.reads_late ? 5s : 20ms), in_steps ? 100 : 700);
    }
  }

  [[nodiscard]] std::size_t calls_of(const Plan& p) const {
    return static_cast<std::size_t>(std::count_if(
        rig_.app.calls.begin(), rig_.app.calls.end(), [&p](const FakeApplication::Call& call) {
          return std::any_of(p.requests.begin(), p.requests.end(),
                             [&call](const Request& r) { return r.name == call.query; });
        }));
  }

  std::string text_of(Request& request) {
    const bool stops = request.kind == Kind::stops;
    const bool has_content = stops || request.kind == Kind::reads || request.kind == Kind::ignores;
    if (has_content) request.content_bytes = draw(2000) + (stops ? 1 : 0);
    std::string content(request.content_bytes, 'b');
    std::string text = has_content ? "POST /" : "GET /";
    text.append(path_of(request.kind)).append("?").append(request.name);
    text += request.http_1_0 ? " HTTP/1.0\r\nHost: a\r\n" : " HTTP/1.1\r\nHost: a\r\n";
    request.expects_100 = has_content && !request.http_1_0 && chance(4);
    if (request.expects_100) text += "Expect: 100-continue\r\n";
    if (has_content && (request.http_1_0 || chance(2))) {
      text += "Content-Length: " + std::to_string(content.size()) + "\r\n\r\n" + content;
    } else if (has_content) {
      text += "Transfer-Encoding: chunked\r\n\r\n";
      while (!content.empty()) {
        const std::size_t size = 1 + draw(content.size());
        static constexpr std::string_view kDigits = "0123456789abcdef";
        std::string hex;
        for (std::size_t left = size; left > 0; left /= 16) hex.insert(0, 1, kDigits[left % 16]);
        text += hex + "\r\n" + content.substr(0, size) + "\r\n";
        content.erase(0, size);
      }
      text += "0\r\n\r\n";
    } else {
      text += "\r\n";
    }
    if (stops) {
      const std::size_t head = chance(4) ? 1 : text.find("\r\n\r\n") + 4;
      text.resize(head + draw(text.size() - head));
    }
    return text;
  }

  /// Send with pauses of up to some milliseconds.
  void send_in_pieces(Plan& p, Duration at, std::string bytes) {
    p.one_request_at_once = !p.reads_late;
    while (!bytes.empty()) {
      const auto size = chance(2) ? bytes.size() : 1 + draw(bytes.size());
      rig_.sys.after(at, [&p, piece = bytes.substr(0, size)] { p.client.send(piece); });
      p.sent_at = std::max(p.sent_at, begin_ + at);
      bytes.erase(0, size);
      if (!bytes.empty()) p.one_request_at_once = false;
      at += 1us + microseconds(3000);
    }
  }

  void read_now_and_then(Plan& p, Duration at, std::size_t bytes) {
    rig_.sys.after(at, [this, &p, bytes] {
      p.client.read(bytes);
      if (!p.client.ended()) read_now_and_then(p, 20ms, bytes);
    });
  }

  /// A thread of the process that computes and releases the application lock when it must.
  void background() {
    if (!chance(only_quick_ ? 2 : 4)) return;
    has_background_ = true;
    const Duration keeps = microseconds(15'000);
    const int times = 1 + static_cast<int>(draw(arrivals_ / 1000));
    rig_.sys.after(microseconds(20'000), [this, keeps, times] {
      if (ended_at_ != Instant{}) return;
      background_ = std::move(*rig_.sys.start_thread("computing", [this, keeps, times] {
        for (int n = 0; n < times; ++n) {
          rig_.app.enter(98);
          rig_.sys.sleep(keeps);
          rig_.app.leave(98);
          rig_.sys.sleep(1us);
        }
      }));
    });
  }

  void signals() {
    if (!chance(4)) return;
    signalled_ = true;
    const int times = 1 + static_cast<int>(draw(3));
    for (int n = 0; n < times; ++n) {
      rig_.sys.after(microseconds(60'000), [this] {
        if (ended_at_ != Instant{}) return;
        static constexpr std::array kNumber{std::byte{10}};
        (void)rig_.sys.write(rig_.worker->wakeup_fd(), kNumber);
      });
    }
  }

  /// System calls fail at random. Records which outcomes besides the response are allowed.
  void trouble() {
    struct Trouble {
      const char* call;
      int error;
    };
    static constexpr std::array kHarmless{
        Trouble{"recv", EAGAIN},          Trouble{"send", EAGAIN},
        Trouble{"send_gathered", EAGAIN}, Trouble{"accept", ECONNABORTED},
        Trouble{"accept", EMFILE},        Trouble{"accept", ENOBUFS},
        Trouble{"sendfile", EAGAIN},      Trouble{"sendfile", EINVAL},
        Trouble{"set_slice", EPERM},      Trouble{"set_nodelay", EINVAL},
        Trouble{"getsockname", ENOBUFS}};
    static constexpr std::array kHarmful{Trouble{"recv", ECONNRESET},
                                         Trouble{"recv", ETIMEDOUT},
                                         Trouble{"send", EPIPE},
                                         Trouble{"send", ECONNRESET},
                                         Trouble{"send_gathered", EPIPE},
                                         Trouble{"sendfile", EIO},
                                         Trouble{"epoll_ctl", ENOMEM},
                                         Trouble{"epoll_ctl", ENOSPC},
                                         Trouble{"pread", EIO},
                                         Trouble{"pwrite", ENOSPC},
                                         Trouble{"pwrite", EIO},
                                         Trouble{"open_temporary", EMFILE},
                                         Trouble{"open_temporary", ENOSPC},
                                         Trouble{"shutdown", ENOTCONN}};
    if (chance(4)) {
      const Trouble& one = kHarmless.at(draw(kHarmless.size()));
      rig_.sys.fail(one.call, 1 + draw(10), one.error, 1 + draw(2));
      note(one.call, one.error);
      if (one.error == EMFILE || one.error == ENOBUFS) out_of_descriptors_ = true;
      if (std::string_view(one.call) == "recv") overlooks_input_ = true;
    }
    if (chance(4)) {
      const Trouble& one = kHarmful.at(draw(kHarmful.size()));
      rig_.sys.after(microseconds(30'000), [this, one, nth = 1 + draw(5), times = 1 + draw(2)] {
        rig_.sys.fail(one.call, nth, one.error, times);
      });
      note(one.call, one.error);
      may_end_ = bodies_may_fail_ = true;
    }
    if (chance(8)) {  // the disk is full
      rig_.sys.set_disk_room(draw(2000));
      note("pwrite", ENOSPC);
      bodies_may_fail_ = true;
    }
    if (chance(8)) {  // no descriptors for a while
      may_end_ = bodies_may_fail_ = true;
      out_of_descriptors_ = true;
      note("open", EMFILE);
      rig_.sys.after(microseconds(20'000), [this, more = draw(4)] {
        rig_.sys.set_descriptors_max(rig_.sys.open_descriptors() + more);
      });
      rig_.sys.after(20ms + microseconds(200'000), [this] { rig_.sys.set_descriptors_max(4096); });
    }
  }

  void note(const char* call, int error) {
    trouble_.append(", ").append(call).append(" fails with ").append(strerrorname_np(error));
  }

  void plan_stop() {
    stops_after_ = kEnd;
    if (chance(4)) stops_after_ = 5ms + microseconds(80'000);
    const Stop how = chance(2) ? Stop::drain : Stop::prompt;
    rig_.stop_after(stops_after_, how);
  }

  // ---- the checks of the invariants

  [[nodiscard]] bool stops_early() const { return stops_after_ < kEnd; }

  /// 2 and 4: long after the last byte was sent, and before the stop.
  void before_the_end() {
    if (stops_early()) return;
    for (const auto& plan : plans_) {
      const Plan& p = *plan;
      if (p.leaves) continue;
      const std::size_t owed = missing(p);
      if (owed != 0 && !p.client.closed_by_server() && !p.client.was_reset()) {
        blame(p, std::to_string(owed) + " responses are missing, and the connection is still open");
      }
      if (p.client.unread_by_server() != 0 && !p.client.closed_by_server()) {
        blame(p, "the server has not read all input");
      }
    }
    if (signalled_ && rig_.app.signal_runs.empty()) blame("no signal handler ran");
  }

  void check() {
    if (background_.joinable()) background_.join();
    if (!rig_.app.ended_with.empty() && !may_end_process()) blame("the process was ended");
    for (const auto& plan : plans_) {
      check_answers(*plan);
      if (!stops_early()) check_times(*plan);
    }
    check_calls();
    for (const std::size_t thread : rig_.app.signal_runs) {
      if (thread != 0) blame("a signal handler ran in thread " + std::to_string(thread));
    }
    const Instant last = begin_ + stops_after_ + kGraceful + 4s + slack_;
    if (ended_at_ > last) blame("the stop took too long");
    if (rig_.worker->status().connections != 0) blame("connections are left");
    for (const std::string& line : rig_.log.server_lines) {
      if (line.find("reads the response too slowly") != std::string::npos) {
        blame("a client that read steadily was disconnected: " + line);
      }
    }
    check_budget();
    if (only_quick_ && rig_.worker->status().direct) {
      blame("quick calls were dispatched to other threads");
    }
    if (only_quick_ && !signalled_ && slack_ == Duration{} && rig_.app.waiting_most > 1) {
      blame("a second thread waits for the application lock");
    }
    const std::uint64_t spool = rig_.config.spool_bytes_max;
    if (!may_end_ && rig_.sys.temporary_bytes_most() > spool)
      blame("more than --spool-max in temporary files");
    if (rig_.sys.closed_while_watched() != 0) blame("a descriptor was closed while it was watched");
    rig_.worker.reset();
    blame(rig_.sys.descriptor_fault());
  }

  /// Check that bodies have released all storage.
  void check_budget() {
    const driver::StorageBudget& budget = rig_.worker->intake().budget();
    const std::uint64_t spool = rig_.config.spool_bytes_max;
    if (budget.spool.left() != spool || budget.response_spool.left() != spool - spool / 4) {
      blame("space of temporary files is not released");
    }
    if (budget.request_memory.left() != request_memory_ ||
        budget.response_memory.left() != response_memory_) {
      blame("memory of bodies is not released");
    }
    if (budget.descriptors.used() != 0) blame("descriptors are still counted");
  }

  /// Only a response that its client does not read outlasts --graceful-timeout.
  [[nodiscard]] bool may_end_process() const {
    return std::any_of(plans_.begin(), plans_.end(), [](const auto& p) { return p->reads_slowly; });
  }

  /// 1.
  void check_answers(const Plan& p) {
    test::AnswerReader reader(p.client.received());
    for (const Request& request : p.requests) {
      std::string_view rest = reader.rest();
      const auto next = [&] { return rest.empty() ? std::nullopt : reader.next(false); };
      auto answer = next();
      if (answer && answer->status == 100 && request.expects_100) {
        rest = reader.rest();
        answer = next();
      }
      if (!answer && !rest.empty() && !begins_an_answer(rest)) {
        blame(p, "the output is not a response: " + std::string(rest.substr(0, 80)));
        return;
      }
      if (!answer || !is_whole(p, *answer)) {
        if (answer && !reader.rest().empty()) blame(p, "bytes after a truncated response");
        if (!may_be_missing(p, request)) blame(p, request.name + " has no complete response");
        return;
      }
      if (!fits(p, request, *answer)) {
        blame(p, request.name + " got " + std::to_string(answer->status) + " " + answer->content);
        return;
      }
      const int logged = logged_status(p, request);
      if (logged != 0 && logged != 499 && logged != answer->status) {
        blame(p, request.name + " got " + std::to_string(answer->status) + ", and the log says " +
                     std::to_string(logged));
      }
      const auto connection = answer->fields.find("connection");
      if (connection != answer->fields.end() && connection->second == "close") {
        if (!reader.rest().empty()) blame(p, "bytes after the last response");
        const bool last = &request == &p.requests.back();
        if (!last && !may_close_behind(p, request, *answer)) {
          blame(p, "the connection ended after " + request.name);
        }
        return;
      }
    }
    if (!reader.rest().empty()) blame(p, "bytes after the last response");
  }

  /// Whether `text` is part of a response head.
  static bool begins_an_answer(std::string_view text) {
    static constexpr std::string_view kBegin = "HTTP/1.1 ";
    return kBegin.starts_with(text.substr(0, kBegin.size())) &&
           text.find("\r\n\r\n") == std::string_view::npos;
  }

  [[nodiscard]] static bool is_whole(const Plan& p, const test::ReadAnswer& answer) {
    return answer.complete ||
           (answer.until_close && !p.leaves && !p.client.was_reset() && p.client.ended());
  }

  /// Whether the response to this request may be missing or incomplete.
  [[nodiscard]] bool may_be_missing(const Plan& p, const Request& request) const {
    if (p.leaves || may_end_ || stops_early()) return true;
    if (p.half_closes && was_given_up(p, request)) return true;
    // recv() reported no input when the timeout of the idle connection was due after a freeze. No
    // kernel does so while bytes wait.
    if (overlooks_input_ && p.client.received().empty()) return true;
    // A reset discards unread bytes.
    if (p.reads_slowly && p.client.was_reset() && (breaks(p) || gives_up(p))) return true;
    // A client that does not read cannot have it before the end.
    if (p.reads_slowly && !p.client.ended()) return true;
    return request.kind == Kind::breaks || request.kind == Kind::short_ ||
           (request.kind == Kind::hangs && has_timeout()) ||
           (bodies_may_fail_ && request.content_bytes != 0);
  }

  /// The access log lines of its connection, in order: the nth is for the nth request.
  [[nodiscard]] std::vector<std::string_view> lines_of(const Plan& p) const {
    const std::string from = ":" + std::to_string(p.client.port()) + " - \"";
    std::vector<std::string_view> found;
    for (const std::string& line : rig_.log.access_lines) {
      if (line.find(from) != std::string::npos) found.emplace_back(line);
    }
    return found;
  }

  /// -1: "-", no status was sent.
  static int status_in(std::string_view line) {
    const std::string status(line.substr(line.rfind("\" ") + 2, 3));
    return status.starts_with('-') ? -1 : std::stoi(status);
  }

  /// 0: it is not in the access log.
  [[nodiscard]] int logged_status(const Plan& p, const Request& request) const {
    const auto lines = lines_of(p);
    const auto n = static_cast<std::size_t>(&request - p.requests.data());
    return n < lines.size() ? status_in(lines[n]) : 0;
  }

  /// A client that has half-closed and waits for a second counts as disconnected.
  [[nodiscard]] bool was_given_up(const Plan& p, const Request& request) const {
    return logged_status(p, request) == 499;
  }

  [[nodiscard]] bool gives_up(const Plan& p) const {
    return p.half_closes &&
           std::any_of(p.requests.begin(), p.requests.end(),
                       [this, &p](const Request& r) { return was_given_up(p, r); });
  }

  static bool breaks(const Plan& p) {
    return std::any_of(p.requests.begin(), p.requests.end(), [](const Request& r) {
      return r.kind == Kind::breaks || r.kind == Kind::short_;
    });
  }

  [[nodiscard]] bool may_close_behind(const Plan& p, const Request& request,
                                      const test::ReadAnswer& answer) const {
    if (may_be_missing(p, request)) return true;
    // An unread body may end a connection, and so does a rejection.
    return answer.status != 200 || request.content_bytes != 0;
  }

  [[nodiscard]] bool has_timeout() const { return rig_.config.request_timeout > Duration::zero(); }

  [[nodiscard]] bool fits(const Plan& p, const Request& request,
                          const test::ReadAnswer& answer) const {
    const std::string mark = "<" + request.name + ">";
    switch (answer.status) {
      case 200:
        if (request.kind == Kind::reads) {
          return answer.content == mark + std::to_string(request.content_bytes);
        }
        return request.kind != Kind::bad && request.kind != Kind::breaks &&
               answer.content.ends_with(mark);
      case 400:
        return request.kind == Kind::bad || (request.kind == Kind::stops && p.half_closes);
      case 408:
        return request.kind == Kind::stops;
      case 500:
        return request.kind == Kind::fails ||
               ((request.kind == Kind::reads || request.kind == Kind::stops) && bodies_may_fail_);
      case 413:
        return request.content_bytes > rig_.config.spool_bytes_max;
      case 503:
        return may_reject_ || (bodies_may_fail_ && request.content_bytes != 0);
      case 504:
        return request.kind == Kind::hangs && has_timeout();
      case 507:
        return bodies_may_fail_ && request.content_bytes != 0;
      default:
        return false;
    }
  }

  /// The number of responses that have not begun.
  [[nodiscard]] std::size_t missing(const Plan& p) const {
    std::size_t begun = 0;
    const std::string& got = p.client.received();
    for (auto at = got.find("HTTP/1.1 "); at != std::string::npos;
         at = got.find("HTTP/1.1 ", at + 1)) {
      if (got.compare(at + 9, 3, "100") != 0) ++begun;
    }
    return p.requests.size() - std::min(begun, p.requests.size());
  }

  /// 4.
  void check_times(const Plan& p) {
    if (p.leaves || may_end_ || out_of_descriptors_) return;
    const bool rests = rig_.config.limits.keep_alive == kKeepAlive;
    if (rests && !p.reads_slowly && !p.half_closes && missing(p) == 0) {
      const Instant due = std::max(p.client.told_at(), p.client.heard_at()) + kKeepAlive;
      if (!closes_by_itself(p) && (p.client.ended_at() < due - slack_ - kTimerSlack ||
                                   p.client.ended_at() > due + slack_ + kTimerSlack)) {
        blame(p, "closed " + in_ms(p.client.ended_at() - due) + " from when its time was up");
      }
    }
    if (p.requests.front().kind == Kind::bad && !p.reads_slowly) {
      // Calls that end before the watch takes over run one after the other.
      const Duration turn = only_quick_ ? Duration::zero() : rig_.app.calls.size() * 2ms;
      const Duration took = p.client.told_at() - p.sent_at;
      if (took > kTakeOver + turn + slack_) blame(p, "400 came after " + in_ms(took));
    }
    if (p.one_request_at_once && p.requests.size() == 1 && p.requests.front().kind == Kind::stops &&
        !p.half_closes && !p.reads_slowly && rig_.config.request_buffering && !bodies_may_fail_) {
      const Duration late = p.client.told_at() - p.sent_at - kReceiveTimeout;
      if (late < -slack_ || late > kTakeOver + kTimerSlack + slack_) {
        blame(p, "408 came " + in_ms(late) + " after its time");
      }
    }
    if (p.one_request_at_once && p.requests.size() == 1 && has_timeout() &&
        p.requests.front().kind == Kind::hangs && !p.reads_slowly) {
      const auto call =
          std::find_if(rig_.app.calls.begin(), rig_.app.calls.end(),
                       [](const FakeApplication::Call& c) { return c.path == "/hangs"; });
      if (call == rig_.app.calls.end()) return;
      const Duration took = p.client.told_at() - call->at;
      if (hung_ == 1 && !has_background_ && took > kRequestTimeout + 20ms + slack_) {
        blame(p, "504 came after " + in_ms(took));
      }
    }
  }

  /// Whether a response ends the connection without an error.
  [[nodiscard]] bool closes_by_itself(const Plan& p) const {
    return p.requests.back().http_1_0 || p.client.received().find("close") != std::string::npos ||
           std::any_of(p.requests.begin(), p.requests.end(), [](const Request& r) {
             return r.kind == Kind::breaks || r.kind == Kind::short_ || r.content_bytes != 0;
           });
  }

  /// 3.
  void check_calls() {
    for (const auto& plan : plans_) {
      for (const Request& request : plan->requests) {
        const auto called = static_cast<std::size_t>(std::count_if(
            rig_.app.calls.begin(), rig_.app.calls.end(),
            [&](const FakeApplication::Call& call) { return call.query == request.name; }));
        if (called > 1) blame(*plan, request.name + " was called twice");
        if (called != 0 && request.kind == Kind::stops && rig_.config.request_buffering) {
          blame(*plan, request.name + " was called without its body");
        }
        const auto n = static_cast<std::size_t>(&request - plan->requests.data());
        if (called != 0 && n >= lines_of(*plan).size()) {
          blame(*plan, request.name + " was called, and is not in the access log");
        }
      }
      check_lines(*plan);
    }
  }

  /// The statuses of the responses that the server began, in order; the last may be truncated.
  static std::vector<int> statuses_of(const Plan& p) {
    std::vector<int> found;
    test::AnswerReader reader(p.client.received());
    while (!reader.rest().empty()) {
      const auto answer = reader.next(false);
      if (!answer) break;
      if (answer->status != 100) found.push_back(answer->status);
    }
    return found;
  }

  void check_lines(const Plan& p) {
    const auto lines = lines_of(p);
    const std::vector<int> told = statuses_of(p);
    const std::string seen =
        std::to_string(lines.size()) + " lines in the access log, " + std::to_string(told.size());
    if (lines.size() > p.requests.size()) blame(p, "has " + seen + " answers");
    if (lines.size() < told.size()) blame(p, "has only " + seen + " answers");
    const bool may_lose = p.leaves || may_end_ || stops_early() || p.reads_slowly ||
                          p.client.was_reset() || p.half_closes;
    if (!may_lose && lines.size() > told.size() + 1) blame(p, "got less: " + seen + " answers");
    for (std::size_t n = 0; n < lines.size() && n < p.requests.size(); ++n) {
      const Request& request = p.requests[n];
      const bool whole = request.kind != Kind::bad && request.kind != Kind::stops;
      const int status = status_in(lines[n]);
      // A client that disconnects within a head leaves a part of it.
      const bool came_whole = whole && !p.leaves && !may_end_ && status != -1 && status != 499;
      if (came_whole && lines[n].find("?" + request.name + " ") == std::string::npos) {
        blame(p, "the line of " + request.name + " is " + std::string(lines[n]));
      }
      if (n < told.size() && status != told[n] && status != 499 && !stops_early()) {
        blame(p, request.name + " got " + std::to_string(told[n]) + ", and the log says " +
                     std::string(lines[n]));
      }
    }
  }

  void blame(std::string text) {
    if (fault_.empty()) fault_ = std::move(text);
  }
  void blame(const Plan& p, const std::string& text) {
    const auto at = std::find_if(plans_.begin(), plans_.end(),
                                 [&](const auto& plan) { return plan.get() == &p; });
    blame("client " + std::to_string(at - plans_.begin()) + ": " + text);
  }

  [[nodiscard]] std::string story() const {
    std::string text = std::to_string(rig_.config.threads) + " threads, stop after " +
                       in_ms(stops_after_) + trouble_ + "\n";
    for (std::size_t n = 0; n < plans_.size(); ++n) {
      const Plan& p = *plans_[n];
      text += "client " + std::to_string(n) + ":";
      for (const Request& request : p.requests) {
        text.append(" ").append(path_of(request.kind)).append(request.http_1_0 ? "/1.0" : "");
        if (request.content_bytes != 0) text += "(" + std::to_string(request.content_bytes) + ")";
        if (request.expects_100) text += " expected";
        if (request.kind == Kind::stops) text += " in part";
      }
      text += "; sent by " + in_ms(p.sent_at - begin_);
      if (p.leaves) text += ", leaves";
      if (p.reads_slowly) text += ", reads slowly";
      if (p.half_closes) text += ", half-closes";
      if (p.client.was_reset()) text += ", was reset";
      if (p.client.closed_by_server()) text += ", was closed";
      text += ", told last at " + in_ms(p.client.told_at() - begin_) + "\n";
      text += "  " + std::to_string(p.client.unread_by_server()) + " bytes were not taken; got\n" +
              p.client.received() + "\n";
    }
    for (const auto& call : rig_.app.calls) {
      text += in_ms(call.at - begin_) + " " + call.path + " in thread " +
              std::to_string(call.thread) + "\n";
    }
    for (const std::string& line : rig_.log.access_lines) text += line + "\n";
    for (const std::string& line : rig_.log.server_lines) text += line + "\n";
    return text;
  }

  static std::string in_ms(Duration time) {
    const auto us = time / 1us;
    std::string fraction = std::to_string(us < 0 ? -us % 1000 : us % 1000);
    fraction.insert(0, 3 - fraction.size(), '0');
    return (us < 0 ? "-" : "") + std::to_string(us < 0 ? -us / 1000 : us / 1000) + "." + fraction +
           " ms";
  }

  bool chance(std::uint64_t one_in) { return draw(one_in) == 0; }
  std::uint64_t draw(std::uint64_t bound) { return random_() % bound; }
  Duration microseconds(std::uint64_t bound) {
    return std::chrono::microseconds{static_cast<std::int64_t>(draw(bound))};
  }

  std::mt19937_64 random_;
  // Outcomes allowed besides responses; set while the configuration is drawn.
  bool may_end_ = false;          // any connection, at any time
  bool may_reject_ = false;       // 503
  bool overlooks_input_ = false;  // recv() fails with EAGAIN although there is input
  bool bodies_may_fail_ = false;  // 500, 503 or 507 for bodies that must be stored
  bool out_of_descriptors_ = false;
  bool only_quick_ = false;
  std::uint64_t arrivals_ = 20'000;  // clients arrive within this many microseconds
  Duration slack_{};                 // how long threads may be kept from their cores
  bool has_background_ = false;
  bool signalled_ = false;
  int hung_ = 0;
  WatchedRig<E> rig_;
  std::uint64_t request_memory_ = 0;
  std::uint64_t response_memory_ = 0;
  Instant begin_{};
  Instant ended_at_{};
  Duration stops_after_{};
  ScriptedSys::Thread background_;
  std::vector<std::unique_ptr<Plan>> plans_;
  std::string trouble_;
  std::string fault_;
};

}  // namespace

Verdict simulate(std::uint64_t seed) {
  if (seed % 8 == 7) return Simulation<ScriptedPollEnv>(seed).run();
  return Simulation<ScriptedEnv>(seed).run();
}

}  // namespace iotax::sim
