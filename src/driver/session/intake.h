// Turns the machine's steps into requests that are ready to run, and makes the server's own
// responses. It must not know the lead, pollers or the application. advance() is for the leader;
// everything else is for the owner of the session.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/connection.h"
#include "core/fault.h"
#include "core/partial_head.h"
#include "core/serialize.h"
#include "driver/application.h"
#include "driver/config.h"
#include "driver/counters.h"
#include "driver/endpoints.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/session/access_log.h"
#include "driver/session/http_date.h"
#include "driver/session/request_warnings.h"
#include "driver/session/session.h"
#include "driver/store/byte_store.h"

namespace iotax::driver {

enum class Progress : std::uint8_t {
  waiting,    // for more input
  ready,      // a request can run; the session may be lent
  responded,  // the server responded or rejected: there is output, and perhaps a close
};

/// Why the server responds in place of the application, for the access log.
struct Reason {
  End end;
  std::string_view error;
};

template <Env E>
class Intake {
 public:
  using Sys = typename E::Sys;
  /// All are borrowed. `application` is only asked about the origin of a request.
  Intake(Sys& sys, const Config& config, const Application& application, Log& log,
         WorkerGauges* gauges = nullptr)
      : sys_(sys),
        config_(config),
        application_(application),
        access_log_(sys, config, log, gauges),
        warnings_(sys, log),
        limits_(config.limits),
        budget_(config.spool_bytes_max, memory_total(config.body_memory_bytes, kBodyMemoryTotal),
                memory_total(config.answer_memory_bytes, kAnswerMemoryTotal)) {
    policy_.continue_when_accepted = config.request_buffering;
    if (config.request_buffering) limits_.stored_bytes_max = storable_bytes();
    last_id_ = hex(sys.random()).substr(0, kIdPrefixBytes - 1) + "-0";
  }

  [[nodiscard]] const core::Policy& policy() const noexcept { return policy_; }
  /// The configured limits, with the maximum size of a stored body.
  [[nodiscard]] const core::Limits& limits() const noexcept { return limits_; }
  [[nodiscard]] StorageBudget& budget() noexcept { return budget_; }
  [[nodiscard]] const StorageBudget& budget() const noexcept { return budget_; }

  /// Step the machine of `s` until it needs input, has a request that can run, or has a response.
  /// By the owner of `s`.
  Progress advance(Session<E>& s, core::Instant now) {
    Progress progress = Progress::waiting;
    for (;;) {
      core::Step step = s.link.machine.step();
      if (std::holds_alternative<core::NeedInput>(step) ||
          std::holds_alternative<core::Paused>(step)) {
        if (progress == Progress::ready && s.stream.streaming && !s.stream.body_ended)
          s.link.pause_clock(true, now);
        return progress;
      }
      if (std::holds_alternative<core::HeadEnd>(step)) {
        const std::string_view fault = begin(s, s.link.machine.head(), now);
        if (!fault.empty()) [[unlikely]] {
          respond(s, 400, {End::rejected, "malformed"}, fault);
          return Progress::responded;
        }
        if (s.stream.streaming) progress = Progress::ready;
      } else if (const auto* data = std::get_if<core::BodyData>(&step)) {
        if (!store(s, data->bytes)) {
          refuse_unstored(s, data->bytes.size());
          return Progress::responded;
        }
      } else if (std::holds_alternative<core::BodyEnd>(step)) {
        s.stream.body_ended = true;
        s.stream.ready_at = now;
        if (s.link.machine.head().asterisk) {
          respond_to_asterisk(s);
        } else if (asks_for_health(s.link.machine.head())) {
          respond_with_health(s);
        } else {
          return Progress::ready;
        }
        progress = Progress::responded;
      } else {
        s.stream.body.reset();
        reject(s, std::get<core::Rejected>(step));
        return Progress::responded;
      }
    }
  }

  /// Store body bytes of the request in progress. False: neither memory nor the temporary file has
  /// room.
  [[nodiscard]] bool store(Session<E>& s, std::span<const std::byte> bytes) {
    if (!s.stream.body) {
      s.stream.body = std::make_unique<ByteStore<E>>(sys_, budget_, config_.spool_dir,
                                                     config_.body_memory_bytes);
    }
    s.stream.request_bytes += bytes.size();
    return s.stream.body->append(bytes) == Stored::ok;
  }

  /// Take one body event of a request that the application reads while it arrives. Reject a
  /// malformed body and keep the fault as the request's error. False: nothing has arrived.
  [[nodiscard]] bool take_content(Session<E>& s) {
    core::Step step = s.link.machine.step();
    if (const auto* data = std::get_if<core::BodyData>(&step)) {
      if (!store(s, data->bytes)) s.stream.body_error = BodyError::storage;
    } else if (std::holds_alternative<core::BodyEnd>(step)) {
      s.stream.body_ended = true;
    } else if (const auto* rejected = std::get_if<core::Rejected>(&step)) {
      s.stream.body_error = s.link.half_closed.load(std::memory_order_relaxed)
                                ? BodyError::disconnected
                            : rejected->status == 408 ? BodyError::timed_out
                                                      : BodyError::malformed;
      reject(s, *rejected);
    } else {
      return false;
    }
    return true;
  }

  /// Write a complete response of the server to the request in progress, its access log line and a
  /// WARNING that names the `option` that changes the behavior.
  void respond(Session<E>& s, int status, const Reason& why, std::string_view sentence,
               std::string_view option = {}, bool close = true) {
    std::string rule(sentence);
    if (!option.empty()) rule.append(" (").append(option).append(")");
    warnings_.warn(s, status, rule, s.stream.line.view());
    core::ServerResponse made = server_response(s, status, sentence);
    if (status == 503) made.retry_after_s = kRetryAfter;
    made.close = close;
    responds(s, made, why);
    access_log_.log(s, sys_.now());
    s.link.machine.respond_instead(core_id(s), made);
  }

  /// The server's response to a request whose machine no thread owns any more; only reads the
  /// machine.
  [[nodiscard]] core::Bytes response_beside(Session<E>& s, int status, std::string_view sentence,
                                            std::string_view rule) {
    warnings_.warn(s, status, rule, s.stream.line.view());
    const core::ServerResponse made = server_response(s, status, sentence);
    responds(s, made, {End::deadline, "deadline"});
    access_log_.log(s, sys_.now());
    core::Bytes out;
    core::write_server_response(out, made, core::Persist::close,
                                s.link.machine.head().method == "HEAD");
    return out;
  }

  /// From now on --health-path says that the server stops.
  void server_stops() noexcept { server_stops_.store(true, std::memory_order_relaxed); }

  [[nodiscard]] AccessLog<E>& access_log() noexcept { return access_log_; }
  [[nodiscard]] RequestWarnings<E>& warnings() noexcept { return warnings_; }
  [[nodiscard]] const Application& application() const noexcept { return application_; }

  /// The connection ends: log the requests that it interrupts, unless they have been logged. By the
  /// leader, who owns `s`.
  void log_without_response(Session<E>& s) {
    if (s.stream.log_line.load(std::memory_order_relaxed) != Line::none)
      access_log_.log_interrupted(s, sys_.now());
    if (s.stream.withdrawn != Withdrawn::no || !s.link.machine.in_head()) return;
    const std::string text = s.link.machine.partial_head();
    begin_unaccepted(s, text);
    access_log_.log_unaccepted(s, core::partial_line(text), s.stream.ready_at, true);
  }

  /// Reject what the client sent: write the WARNING, the access log line, and the response if there
  /// is one.
  void reject(Session<E>& s, const core::Rejected& rejected) {
    if (rejected.status == 0) return;
    const core::Instant now = sys_.now();
    const bool in_body = rejected.in_body_of != core::RequestId::none;
    const std::string text = in_body ? std::string{} : s.link.machine.partial_head();
    if (!in_body) begin_unaccepted(s, text);
    const bool second = rejected.fault == core::Fault::proxy_header && s.link.endpoints.proxy;
    const std::string rule =
        second ? "second PROXY protocol header" : core::describe(rejected, limits_);
    warnings_.warn(s, rejected.status, rule, rejected.offending);
    const core::ServerResponse made = server_response(s, rejected.status, rule);
    responds(s, made, {End::rejected, word_of_rejection(rejected)});
    if (in_body) {
      access_log_.log(s, now);
    } else {
      access_log_.log_unaccepted(s, core::partial_line(text), now, false);
    }
    s.link.machine.reject(made);
  }

  [[nodiscard]] core::ServerResponse server_response(Session<E>& s, int status,
                                                     std::string_view sentence) {
    core::ServerResponse made;
    made.status = status;
    made.sentence = sentence;
    made.request_id = s.stream.id.view();
    thread_local DateCache cache;
    made.date = date(cache);
    made.server = config_.server_header;
    made.request_id_header = config_.request_id_header;
    return made;
  }

  /// The current time as IMF-fixdate. The view is valid until the next call with the same cache.
  [[nodiscard]] std::string_view date(DateCache& cache) noexcept {
    return cache.at(sys_.unix_time());
  }

 private:
  static constexpr std::uint32_t kRetryAfter =
      1;  // seconds; the smallest value, and the queue turns over faster

  static std::string hex(std::uint64_t value) {
    char text[17] = "0000000000000000";
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
    const auto n = static_cast<std::size_t>(end - digits);
    std::copy(digits, end, text + 16 - n);
    return {text, 16};
  }

  /// Note for the access log that the server responds itself.
  static void responds(Session<E>& s, const core::ServerResponse& made, const Reason& why) {
    s.stream.status = made.status;
    s.stream.response_bytes = s.link.machine.content_bytes(made);
    s.stream.server_responds = true;
    s.stream.end = why.end;
    s.stream.error.assign(why.error);
  }

  static std::string_view word_of_rejection(const core::Rejected& rejected) noexcept {
    if (rejected.fault == core::Fault::method_unknown ||
        rejected.fault == core::Fault::method_refused) {
      return "method";
    }
    switch (rejected.status) {
      case 408:
        return "slow";
      case 413:
      case 414:
      case 431:
        return "too_large";
      default:
        return "malformed";
    }
  }

  static core::RequestId core_id(const Session<E>& s) noexcept { return s.link.machine.head().id; }

  /// Take the id of the client only from peers that the application trusts: otherwise any client
  /// could write the ids of others into the logs.
  void make_id(Session<E>& s, std::string_view given) {
    const bool taken = !given.empty() && application_.trusts(s.link.endpoints);
    s.stream.id.assign(taken ? given : next_id());
  }

  /// Record what is known of a request whose head was rejected; `text` is the received part of the
  /// head. By the leader.
  void begin_unaccepted(Session<E>& s, std::string_view text) {
    core::PartialOrigin origin;
    if (!text.empty()) origin = core::partial_origin(text);
    access_log_.end_held(s);
    make_id(s, origin.request_id);
    access_log_.begin(s, origin.fields);
    s.stream.client = origin.fields.empty()
                          ? std::string{}
                          : application_.client_of(s.link.endpoints, origin.fields).address;
    const core::PartialLine line = core::partial_line(text);
    s.stream.line.assign(line.method);
    if (!line.target.empty()) {
      s.stream.line.append(" ");
      s.stream.line.append(line.target.substr(0, line.target.find('?')));
    }
    s.stream.ready_at = sys_.now();
  }

  /// Increment the last id in place, in hexadecimal. By the leader.
  std::string_view next_id() {
    for (std::size_t i = last_id_.size(); i-- > kIdPrefixBytes;) {
      char& digit = last_id_[i];
      if (digit != 'f') {
        digit = digit == '9' ? 'a' : static_cast<char>(digit + 1);
        return last_id_;
      }
      digit = '0';
    }
    return last_id_.insert(kIdPrefixBytes, 1, '1');
  }

  /// Returns why the request is rejected; empty: it is not.
  std::string_view begin(Session<E>& s, const core::Head& head, core::Instant now) {
    std::string_view fault;
    access_log_.end_held(s);
    make_id(s, head.request_id);
    if (head.forwarded || !s.stream.client.empty()) [[unlikely]] {
      ClientOrigin origin;
      if (head.forwarded) origin = application_.client_of(s.link.endpoints, head.fields);
      s.stream.client = std::move(origin.address);
      fault = origin.fault;
    }
    access_log_.begin(s, head.fields);
    access_log_.accepted(s);
    if (head.target.starts_with('/')) {  // contiguous in the input, up to a query
      s.stream.line.assign({head.method.data(), head.path.data() + head.path.size()});
    } else {
      s.stream.line.assign(head.method);
      s.stream.line.append(" ");
      s.stream.line.append(head.path);
    }
    s.stream.body.reset();
    s.stream.body_taken = 0;
    s.stream.body_ended = false;
    s.stream.body_error = BodyError::none;
    // Frameworks rely on CONTENT_LENGTH, which a chunked body has only when it is complete.
    s.stream.streaming = !config_.request_buffering && head.content == core::Content::length &&
                         !asks_for_health(head);
    if (!config_.request_buffering && !s.stream.streaming) {
      s.link.machine.continue_100(head.id);  // not read before the body is complete
    }
    s.stream.ready_at = now;
    if (!head.dropped_name.empty()) warnings_.warn_of_dropped(s, head.dropped_name);
    return fault;
  }

  /// The maximum size of one body while nothing else is stored.
  [[nodiscard]] std::uint64_t storable_bytes() const noexcept {
    const std::uint64_t spool = config_.spool_bytes_max;
    return spool > UINT64_MAX - config_.body_memory_bytes ? UINT64_MAX
                                                          : spool + config_.body_memory_bytes;
  }

  /// store() has rejected `bytes` of the body.
  void refuse_unstored(Session<E>& s, std::size_t bytes) {
    const bool never_fits = s.stream.body->size() + bytes > storable_bytes();
    const int error = s.stream.body->error();
    s.stream.body.reset();  // the connection lingers: leave its room to others
    if (never_fits) {
      respond(s, 413, {End::rejected, "too_large"},
              "The body of this request is larger than the server can store.", "--spool-max");
    } else if (error == EMFILE || error == ENFILE) {
      respond(s, 503, {End::rejected, "no_room"},
              "The server has no file descriptor left for the body of this request.",
              "the hard limit of ulimit -n");
    } else {
      respond(s, 503, {End::rejected, "no_room"},
              "The server has no room for the body of this request.", "--spool-max");
    }
  }

  void respond_to_asterisk(Session<E>& s) {
    s.stream.body.reset();
    core::ServerResponse made = server_response(s, 204, {});
    made.close = false;
    responds(s, made, {End::complete, {}});
    access_log_.log(s, s.stream.ready_at);
    s.link.machine.respond_instead(core_id(s), made);
  }

  /// --health-path: GET and HEAD of exactly this path, with any query. The application gets other
  /// methods.
  [[nodiscard]] bool asks_for_health(const core::Head& head) const noexcept {
    return !config_.health_path.empty() && head.path == config_.health_path &&
           (head.method == "GET" || head.method == "HEAD");
  }

  void respond_with_health(Session<E>& s) {
    s.stream.body.reset();
    const bool stops = server_stops_.load(std::memory_order_relaxed);
    core::ServerResponse made =
        server_response(s, stops ? 503 : 200, stops ? "not ready: stopping" : "ready");
    made.request_id = made.request_id_header = {};  // of a request that is in no log
    made.close = stops;
    responds(s, made, {End::complete, {}});
    ThreadCounters* const counters = std::exchange(counters_of_thread, nullptr);
    if (counters != nullptr) counters->add(CounterIndex::kHealthRequests);
    if (config_.health_log) {
      access_log_.log(s, s.stream.ready_at);
    } else {
      access_log_.forget(s);
    }
    counters_of_thread = counters;
    s.link.machine.respond_instead(core_id(s), made);
  }

  /// Memory for all bodies together: this, or that of 64 bodies if that is more.
  static constexpr std::uint64_t kBodyMemoryTotal = 64ULL << 20;
  static constexpr std::uint64_t kAnswerMemoryTotal = 256ULL << 20;
  static std::uint64_t memory_total(std::size_t of_one, std::uint64_t least) noexcept {
    constexpr std::uint64_t kBodies = 64;
    return std::max(least, of_one > UINT64_MAX / kBodies ? UINT64_MAX : of_one * kBodies);
  }

  static constexpr std::size_t kIdPrefixBytes = 9;  // including the dash

  Sys& sys_;
  const Config& config_;
  const Application& application_;
  AccessLog<E> access_log_;
  RequestWarnings<E> warnings_;
  core::Limits limits_;
  StorageBudget budget_;
  core::Policy policy_;
  std::atomic<bool> server_stops_{false};
  std::string last_id_;  // a random prefix of the process, "-", and a count
};

}  // namespace iotax::driver
