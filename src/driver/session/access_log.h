// The access log: one line for each request, in whatever way it ends, and the counts of the same
// requests for the admin listener. It collects the facts of a line; it must not know how a line
// looks, or why a request was rejected.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/bytes.h"
#include "core/connection.h"
#include "core/partial_head.h"
#include "core/trace_context.h"
#include "driver/config.h"
#include "driver/counters.h"
#include "driver/env.h"
#include "driver/log/access_line.h"
#include "driver/log/log.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E>
class AccessLog {
 public:
  using Sys = typename E::Sys;
  using Session = driver::Session<E>;

  /// All are borrowed.
  AccessLog(Sys& sys, const Config& config, Log& log)
      : sys_(sys),
        config_(config),
        log_(log),
        process_id_(sys.process_id()),
        wanted_(config.access_log || config.counts),
        names_traces_(config.log_traces ||
                      (config.access_log && config.access_format.needs_trace())),
        collects_fields_(config.access_log &&
                         config.access_format.collects(Collected::From::response)) {}

  /// A request of `s` begins; `fields`: what is known of its head. By the leader.
  void begin(Session& s, std::span<const core::Field> fields) {
    Stream<E>& stream = s.stream;
    stream.status = 0;
    if (names_traces_) stream.trace.assign(core::trace_parent_of(fields));
    if (!wanted_) return;  // what follows is only for the line
    stream.began_at = s.link.machine.head_since();
    stream.called_at = core::kNever;
    stream.request_bytes = stream.response_bytes = 0;
    stream.end = End::complete;
    stream.server_responds = false;
    stream.error.assign({});
    for (CollectedValue& value : stream.collected) value.there = false;
  }

  /// The head of the request is accepted: from now on it needs a line.
  void accepted(Session& s) noexcept {
    s.stream.log_line.store(Line::owed, std::memory_order_relaxed);
  }

  /// The application responds with these fields. By the thread that runs the request.
  void responded(Session& s, const core::ResponseFields* fields) {
    if (collects_fields_ && fields != nullptr) [[unlikely]]
      collect_fields(s, fields->lines());
  }

  /// Keep a value for the line. `index`: in AccessFormat::collected().
  void collect(Session& s, std::size_t index, std::string_view value) {
    const std::size_t count = config_.access_format.collected().size();
    if (index >= count) return;
    s.stream.collected.resize(count);
    s.stream.collected[index].text = value;
    s.stream.collected[index].there = true;
  }

  /// Log the request in progress, unless it has been logged. Call it before the response ends,
  /// because its views end with it. By the owner of `s`.
  void log(Session& s, core::Instant now) { log(s, now, false, false); }
  /// The same while its call still runs: if the format shows the duration of the call, the line is
  /// held until the next log().
  void log_in_call(Session& s, core::Instant now) { log(s, now, true, false); }
  /// The same for a request that the end of the connection interrupts.
  void log_interrupted(Session& s, core::Instant now) { log(s, now, false, true); }

  /// Log a request whose head was not accepted; `line`: what was recognized. By the leader.
  void log_unaccepted(Session& s, const core::PartialLine& line, core::Instant now,
                      bool interrupted) {
    if (!wanted_) return;
    const Ending ending = ending_of(s, interrupted);
    count(s, line.method, now, ending, false);
    if (!config_.access_log) return;
    AccessEntry entry = entry_of(s, now);
    set_line(entry, line);
    set_end(entry, s, ending);
    write(entry);
  }

  /// The process exits while a thread still runs the request of `s` and may be finishing it: log
  /// the request, unless the thread does. By the leader, who does not own `s`.
  void log_lent(Session& s, core::Instant now) {
    if (!take_owed(s, now)) return;
    const std::string_view line = s.stream.line.view();  // the head may become invalid at any time
    const std::size_t space = std::min(line.find(' '), line.size());
    count(s, line.substr(0, space), now, {0, End::shutdown}, false);
    if (!config_.access_log) return;
    AccessEntry entry = entry_of(s, now);
    set_line(entry, {line.substr(0, space), line.substr(std::min(space + 1, line.size())), {}});
    entry.end = End::shutdown;
    write(entry);
  }

 private:
  /// Whether the caller must make the line of the request of `s`; true once. Writes a line that is
  /// held.
  [[nodiscard]] bool take_owed(Session& s, core::Instant now) {
    if (!wanted_) return false;
    const Line line = s.stream.log_line.exchange(Line::none, std::memory_order_acq_rel);
    if (line == Line::held) [[unlikely]]
      write_held(s, now);
    return line == Line::owed;
  }

  void log(Session& s, core::Instant now, bool in_call, bool interrupted) {
    if (!take_owed(s, now)) return;
    const core::Head& head = s.link.machine.head();
    const Ending ending = ending_of(s, interrupted);
    const bool called = s.stream.called_at != core::kNever;
    count(s, head.method, now, ending, called);
    if (!config_.access_log) return;
    AccessEntry entry = entry_of(s, now);
    entry.method = head.method;
    entry.target = head.target;
    entry.path = head.path;
    entry.query = head.query;
    entry.version = head.version == core::Version::http_1_1 ? "HTTP/1.1" : "HTTP/1.0";
    entry.fields = head.fields;
    entry.collected = s.stream.collected;
    set_end(entry, s, ending);
    if (called) {
      entry.queue = s.stream.called_at - s.stream.ready_at;
      entry.app = now - s.stream.called_at;
      if (!s.stream.server_responds) entry.by = By::app;
    }
    if (in_call && config_.access_format.needs_app()) [[unlikely]] {
      entry.app_follows = true;
      with_line([&](core::Bytes& line) {
        append_access(line, config_.access_format, entry);
        s.stream.held_line = line.text();
      });
      s.stream.log_line.store(Line::held, std::memory_order_release);
    } else {
      write(entry);
    }
  }

  /// What is known of every request, and may be read by the leader while `s` is lent.
  [[nodiscard]] AccessEntry entry_of(const Session& s, core::Instant now) {
    AccessEntry entry;
    entry.peer = &s.link.endpoints;
    entry.client = s.stream.client;
    entry.duration = now - s.stream.ready_at;
    entry.receive = s.stream.ready_at - s.stream.began_at;
    entry.request_id = s.stream.id.view();
    entry.trace = core::trace_ids(s.stream.trace.view());
    if (config_.access_format.needs_time()) entry.unix_time = sys_.unix_time();
    entry.process_id = process_id_;
    entry.worker = config_.worker_number;
    return entry;
  }

  static void set_line(AccessEntry& entry, const core::PartialLine& line) noexcept {
    entry.method = line.method;
    entry.target = line.target;
    entry.version = line.version;
    const std::size_t question = std::min(line.target.find('?'), line.target.size());
    entry.path = line.target.substr(0, question);
    entry.query = line.target.substr(std::min(question + 1, line.target.size()));
  }

  /// The status is what the client was sent, or 499 if it disconnected.
  struct Ending {
    int status;
    End end;
  };
  [[nodiscard]] static Ending ending_of(const Session& s, bool interrupted) noexcept {
    const bool disconnected = s.link.disconnected.load(std::memory_order_relaxed);
    if (!disconnected && !interrupted) [[likely]]
      return {s.stream.status, s.stream.end};
    const Cut cut = s.link.cut.load(std::memory_order_relaxed);
    return {disconnected && cut != Cut::by_shutdown ? 499 : s.stream.status,
            cut == Cut::by_client      ? End::client_gone
            : cut == Cut::for_slowness ? End::client_slow
                                       : End::shutdown};
  }

  static void set_end(AccessEntry& entry, const Session& s, const Ending& ending) noexcept {
    entry.status = ending.status;
    entry.end = ending.end;
    entry.received_bytes = s.stream.request_bytes;
    entry.sent_bytes = s.stream.response_bytes;
    entry.error = s.stream.error.view();
  }

  /// For the admin listener. `called`: the application was. If another thread has `s`, there is no
  /// status.
  void count(const Session& s, std::string_view method, core::Instant now, const Ending& ending,
             bool called) const noexcept {
    static_assert(static_cast<std::size_t>(By::server) + 1 == CounterIndex::kResponders &&
                  static_cast<std::size_t>(End::overloaded) + 1 == CounterIndex::kEnds);
    if (!config_.counts) return;
    ThreadCounters* const counters = counters_of_thread;
    if (counters == nullptr) return;
    const By by = called && !s.stream.server_responds ? By::app : By::server;
    counters->add(CounterIndex::request(static_cast<std::size_t>(by), counted_method(method),
                                        counted_status(ending.status)));
    counters->add(CounterIndex::kEnded + static_cast<std::size_t>(ending.end));
    counters->observe(Timed::request, now - s.stream.ready_at);
    if (called) {
      counters->observe(Timed::queue, s.stream.called_at - s.stream.ready_at);
      counters->observe(Timed::app, now - s.stream.called_at);
    }
    if (ending.status >= 400 && s.stream.server_responds) [[unlikely]]
      count_rejection(*counters, ending.end, s.stream.error.view());
  }

  [[gnu::cold]] static void count_rejection(ThreadCounters& counters, End end,
                                            std::string_view error) noexcept {
    const std::size_t reason = counted_rejection(end == End::app_error ? "app_error" : error);
    if (reason < kRejections.size()) counters.add(CounterIndex::kRejected + reason);
  }

  void write(const AccessEntry& entry) {
    with_line([&](core::Bytes& line) {
      append_access(line, config_.access_format, entry);
      log_.access(line.text());
    });
  }

  void write_held(const Session& s, core::Instant now) {
    with_line([&](core::Bytes& line) {
      append_completed(line, s.stream.held_line, now - s.stream.called_at);
      log_.access(line.text());
    });
  }

  /// Call f(line) with an empty buffer, which the thread uses again.
  template <class F>
  static void with_line(F&& f) {
    thread_local core::Bytes spare;
    core::Bytes line;
    line.swap(spare);
    line.clear();
    f(line);
    line.swap(spare);
  }

  [[gnu::cold]] void collect_fields(Session& s, std::string_view lines) {
    static constexpr std::string_view kColon = ": ", kLineEnd = "\r\n";
    while (!lines.empty()) {
      const std::size_t colon = lines.find(kColon);
      const std::size_t end = lines.find(kLineEnd, colon);
      const std::string_view value =
          lines.substr(colon + kColon.size(), end - colon - kColon.size());
      std::size_t index = 0;
      for (const Collected& wanted : config_.access_format.collected()) {
        if (wanted.from == Collected::From::response &&
            core::same_ignoring_case(lines.substr(0, colon), wanted.name)) {
          collect_another(s, index, value);
        }
        ++index;
      }
      lines.remove_prefix(end + kLineEnd.size());
    }
  }

  /// Values of several lines are joined.
  void collect_another(Session& s, std::size_t index, std::string_view value) {
    if (index >= s.stream.collected.size() || !s.stream.collected[index].there)
      return collect(s, index, value);
    s.stream.collected[index].text.append(", ").append(value);
  }

  Sys& sys_;
  const Config& config_;
  Log& log_;
  const int process_id_;
  const bool wanted_;
  const bool names_traces_;
  const bool collects_fields_;
};

}  // namespace iotax::driver
