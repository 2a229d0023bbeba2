// The access log: one line for each request, in whatever way it ends, and the counts of the same
// requests for the admin listener and statsd. It collects the facts of a line; it must not know how
// a line looks, or why a request was rejected.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "core/bytes.h"
#include "core/connection.h"
#include "core/partial_head.h"
#include "core/text.h"
#include "core/trace_context.h"
#include "driver/config.h"
#include "driver/counters.h"
#include "driver/env.h"
#include "driver/log/access_line.h"
#include "driver/log/held_entry.h"
#include "driver/log/log.h"
#include "driver/scoreboard/server_entry.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E>
class AccessLog {
 public:
  using Sys = typename E::Sys;
  using Session = driver::Session<E>;

  /// All are borrowed. `gauges`: where requests are counted that begin; null: nowhere.
  AccessLog(Sys& sys, const Config& config, Log& log, WorkerGauges* gauges)
      : sys_(sys),
        config_(config),
        log_(log),
        gauges_(gauges),
        process_id_(sys.process_id()),
        wanted_(config.access_log || config.counts || config.statsd),
        names_traces_(config.log_traces ||
                      (config.access_log && config.access_format.needs_trace())),
        collects_fields_(config.access_log &&
                         config.access_format.collects(Collected::From::response)) {}

  /// Whether anything is made of requests: a line, or counts.
  [[nodiscard]] bool wanted() const noexcept { return wanted_; }
  /// Log nothing more: in the child of a fork, whose parent logs the requests.
  void abandon_in_child() noexcept { wanted_ = false; }

  /// Another request of `s` begins. Log the one before it if its line is held: its client has left,
  /// so the response will not be sent. By the leader.
  void end_held(Session& s) {
    if (s.stream.log_line.load(std::memory_order_relaxed) == Line::held) [[unlikely]]
      log_interrupted(s, sys_.now());
  }
  /// A request of `s` begins, after end_held(); `fields`: what is known of its head. By the leader.
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
    stream.error.clear();
    for (CollectedValue& value : stream.collected) value.there = false;
  }

  /// The head of the request is accepted: from now on it needs a line.
  void accepted(Session& s) noexcept {
    if (!wanted_) return;
    s.stream.log_line.store(Line::owed, std::memory_order_relaxed);
    count_begun();
  }

  /// The request in progress has no line, and is not counted. By the owner of `s`.
  void forget(Session& s) noexcept {
    s.stream.log_line.store(Line::none, std::memory_order_relaxed);
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
    CollectedValue& kept = s.stream.collected[index];
    if (!core::same_text(kept.text, value)) kept.text = value;  // often that of the last request
    kept.there = true;
  }

  /// Log the request in progress, unless it has been logged. Call it while its head is valid. By
  /// the owner of `s`.
  void log(Session& s, core::Instant now) { log(s, now, When::any); }
  /// The same when the application has ended the response. The line is held until a later log() if
  /// a part of the response is not sent yet.
  void log_responded(Session& s, core::Instant now) { log_or_count(s, now, When::responded); }
  /// The same while its call still runs: also held if the format shows the duration of the call.
  void log_in_call(Session& s, core::Instant now) { log_or_count(s, now, When::in_call); }
  /// The same for a request that the end of the connection interrupts.
  void log_interrupted(Session& s, core::Instant now) { log(s, now, When::interrupted); }

  /// Log a request whose head was not accepted; `line`: what was recognized. By the leader.
  void log_unaccepted(Session& s, const core::PartialLine& line, core::Instant now,
                      bool interrupted) {
    if (!wanted_) return;
    AccessEntry entry = entry_of(s, now);
    set_line(entry, line);
    set_end(entry, s, interrupted);
    count_begun();
    write(entry);
  }

  /// The process exits while a thread still runs the request of `s` and may be finishing it: log
  /// the request, unless the thread does. By the leader, who does not own `s`.
  void log_lent(Session& s, core::Instant now) {
    const Line was = take_line(s);
    if (was == Line::held) return log_held(s, now, true);
    if (was != Line::owed) return;
    AccessEntry entry = entry_of(s, now);
    const std::string_view line = s.stream.line.view();  // the head may become invalid at any time
    const std::size_t space = std::min(line.find(' '), line.size());
    set_line(entry, {line.substr(0, space), line.substr(std::min(space + 1, line.size())), {}});
    entry.end = End::shutdown;
    write(entry);
  }

 private:
  /// Who gets something else than `none` must make the line, or hold it.
  [[nodiscard]] Line take_line(Session& s) noexcept {
    if (!wanted_) return Line::none;
    return s.stream.log_line.exchange(Line::none, std::memory_order_acq_rel);
  }

  /// Whether a part of the response is not sent yet.
  [[nodiscard]] static bool sending(const Session& s) noexcept {
    if (s.link.backlogged()) return true;
    if (!s.stream.file) return false;  // there is one that is not sent for HEAD, too
    const std::span<const core::Slice> slices = s.link.machine.output();
    return std::any_of(slices.begin(), slices.end(),
                       [](const core::Slice& slice) { return slice.file_bytes != 0; });
  }

  enum class When : std::uint8_t { any, in_call, responded, interrupted };

  [[gnu::always_inline]] void log_or_count(Session& s, core::Instant now, When when) {
    const bool may_be_incomplete =
        s.link.backlogged() || s.stream.file || s.link.disconnected.load(std::memory_order_relaxed);
    if (config_.access_log || may_be_incomplete) return log(s, now, when);
    count_complete(s, now);
  }
  void log(Session& s, core::Instant now, When when) {
    const Line was = take_line(s);
    if (was == Line::held) return log_held(s, now, when == When::interrupted);
    if (was != Line::owed) return;
    AccessEntry entry = entry_of(s, now);
    const core::Head& head = s.link.machine.head();
    entry.method = head.method;
    entry.target = head.target;
    entry.path = head.path;
    entry.query = head.query;
    entry.version = head.version == core::Version::http_1_1 ? "HTTP/1.1" : "HTTP/1.0";
    entry.fields = head.fields;
    entry.collected = s.stream.collected;
    set_end(entry, s, when == When::interrupted);
    if (s.stream.called_at != core::kNever) {
      entry.queue = s.stream.called_at - s.stream.ready_at;
      entry.app = now - s.stream.called_at;
      if (!s.stream.server_responds) entry.by = By::app;
    }
    const bool in_call = when == When::in_call;
    const bool unsent = (in_call || when == When::responded) && sending(s);
    const bool needs_app = config_.access_log && config_.access_format.needs_app();
    if (unsent || (in_call && needs_app)) [[unlikely]] {
      if (!s.stream.held) s.stream.held = std::make_unique<HeldEntry>();
      s.stream.held->hold(entry);
      s.stream.held->in_call = in_call;
      s.stream.held->unsent = unsent;
      s.stream.log_line.store(Line::held, std::memory_order_release);
    } else {
      write(entry);
    }
  }

  /// Log a request whose line was held, unless its response is still being sent.
  void log_held(Session& s, core::Instant now, bool interrupted) {
    HeldEntry& held = *s.stream.held;
    AccessEntry& entry = held.entry;
    if (std::exchange(held.in_call, false)) entry.app = now - s.stream.called_at;
    if (!interrupted && sending(s)) {
      held.unsent = true;
      s.stream.log_line.store(Line::held, std::memory_order_release);
      return;
    }
    if (held.unsent) {
      entry.duration = now - s.stream.ready_at;
      set_sent_bytes(entry, s);
      if (entry.end == End::complete && s.link.unsent_bytes() != 0) set_cut(entry, s);
    }
    write(entry);
    if (held.bytes() > kHeldBytesMax) s.stream.held.reset();
  }

  /// What is known of every request, and may be read by the leader while `s` is lent.
  [[nodiscard]] AccessEntry entry_of(const Session& s, core::Instant now) const {
    AccessEntry entry;
    entry.peer = &s.link.endpoints;
    entry.client = s.stream.client;
    entry.duration = now - s.stream.ready_at;
    entry.receive = s.stream.ready_at - s.stream.began_at;
    entry.request_id = s.stream.id.view();
    entry.trace = core::trace_ids(s.stream.trace.view());
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
  static void set_end(AccessEntry& entry, const Session& s, bool interrupted) noexcept {
    const bool disconnected = s.link.disconnected.load(std::memory_order_relaxed);
    entry.status = s.stream.status;
    entry.received_bytes = s.stream.request_bytes;
    entry.error = s.stream.error.view();
    entry.end = s.stream.end;
    set_sent_bytes(entry, s);
    if (disconnected || interrupted) set_cut(entry, s);
  }

  /// The response was not sent completely.
  static void set_cut(AccessEntry& entry, const Session& s) noexcept {
    const Cut cut = s.link.cut.load(std::memory_order_relaxed);
    const Outbox<E>* const outbox = s.link.outbox.get();
    entry.end = outbox != nullptr && outbox->file_ended() ? End::app_error
                : cut == Cut::by_client                   ? End::client_gone
                : cut == Cut::for_slowness                ? End::client_slow
                                                          : End::shutdown;
    if (entry.end == End::client_gone || entry.end == End::client_slow) entry.status = 499;
  }

  /// Unsent output is content: the head is sent first.
  static void set_sent_bytes(AccessEntry& entry, const Session& s) noexcept {
    const std::uint64_t given = s.stream.response_bytes;
    entry.sent_bytes = given - std::min(given, s.link.unsent_bytes());
  }

  void write(AccessEntry& entry) {
    count(entry);
    if (!config_.access_log) return;
    if (config_.access_format.needs_time()) entry.unix_time = sys_.unix_time();
    with_line([&](core::Bytes& line) {
      append_access(line, config_.access_format, entry);
      log_.access(line.text());
    });
  }

  /// By the leader.
  void count_begun() const noexcept {
    if (gauges_ != nullptr) [[unlikely]]
      gauges_->begun.add(1);
  }
  /// Count a request for the admin listener and statsd.
  void count(const AccessEntry& entry) const noexcept {
    if (config_.statsd) [[unlikely]]
      log_.count_request(entry.status, entry.duration);
    ThreadCounters* const counters = counters_of_thread;
    if (counters == nullptr) return;
    count_end(*counters, entry.by, entry.method, entry.status, entry.end, entry.error);
    counters->observe(Timed::request, entry.duration);
    if (entry.queue) counters->observe(Timed::queue, *entry.queue);
    if (entry.app) counters->observe(Timed::app, *entry.app);
  }
  /// log() without a line, for a request whose response is complete.
  void count_complete(Session& s, core::Instant now) {
    const Line was = take_line(s);
    if (was == Line::held) return log_held(s, now, false);
    if (was != Line::owed) return;
    const Stream<E>& stream = s.stream;
    if (config_.statsd) [[unlikely]]
      log_.count_request(stream.status, now - stream.ready_at);
    ThreadCounters* const counters = counters_of_thread;
    if (counters == nullptr) return;
    const bool called = stream.called_at != core::kNever;
    const By by = called && !stream.server_responds ? By::app : By::server;
    count_end(*counters, by, s.link.machine.head().method, stream.status, stream.end,
              stream.error.view());
    counters->observe(Timed::request, now - stream.ready_at);
    if (!called) return;
    counters->observe(Timed::queue, stream.called_at - stream.ready_at);
    counters->observe(Timed::app, now - stream.called_at);
  }
  [[gnu::always_inline]] static void count_end(ThreadCounters& counters, By by,
                                               std::string_view method, int status, End end,
                                               std::string_view error) noexcept {
    static_assert(static_cast<std::size_t>(By::server) + 1 == CounterIndex::kResponders &&
                  static_cast<std::size_t>(End::overloaded) + 1 == CounterIndex::kEnds);
    counters.add(CounterIndex::request(static_cast<std::size_t>(by), counted_method(method),
                                       counted_status(status)));
    counters.add(CounterIndex::kEnded + static_cast<std::size_t>(end));
    if (by == By::server && status >= 400) [[unlikely]]
      count_rejection(counters, end == End::app_error ? "app_error" : error);
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

  static constexpr std::size_t kHeldBytesMax = 4096;  // of an idle connection

  Sys& sys_;
  const Config& config_;
  Log& log_;
  WorkerGauges* const gauges_;
  const int process_id_;
  bool wanted_;
  const bool names_traces_;
  const bool collects_fields_;
};

}  // namespace iotax::driver
