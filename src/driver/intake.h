// From the machine's steps to a request that is ready to run, and the answers that the server makes
// itself. It must not know who leads, pollers or the application. advance() is the leader's; the
// rest is for whoever owns the session.
#pragma once

#include <atomic>
#include <charconv>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "core/connection.h"
#include "core/fault.h"
#include "core/serialise.h"
#include "driver/access_log.h"
#include "driver/address.h"
#include "driver/config.h"
#include "driver/date.h"
#include "driver/log.h"
#include "driver/session.h"
#include "driver/spool.h"

namespace iotax::driver {

enum class Progress : std::uint8_t {
  waiting,   // for more input
  ready,     // a request can be run; the session may be lent
  answered,  // the server answered or refused: there is output, and perhaps a close
};

template <class Sys>
class Intake {
 public:
  Intake(Sys& sys, const Config& config, Log& log)
      : sys_(sys), config_(config), log_(log), budget_(config.spool_bytes_max) {
    policy_.continue_when_accepted = config.request_buffering;
    last_id_ = hex(sys.random()).substr(0, kIdPrefixBytes - 1) + "-0";
  }

  [[nodiscard]] const core::Policy& policy() const noexcept { return policy_; }
  [[nodiscard]] SpoolBudget& budget() noexcept { return budget_; }

  /// Step the machine of `s` until it wants input, has a request that can run, or is answered. By
  /// the owner of `s`.
  Progress advance(Session<Sys>& s, core::Instant now) {
    Progress progress = Progress::waiting;
    for (;;) {
      core::Step step = s.machine.step();
      if (std::holds_alternative<core::NeedInput>(step) ||
          std::holds_alternative<core::Paused>(step)) {
        if (progress == Progress::ready && s.streaming && !s.body_ended) s.hold_clock(true, now);
        return progress;
      }
      if (std::holds_alternative<core::HeadEnd>(step)) {
        begin(s, s.machine.head(), now);
        if (s.streaming) progress = Progress::ready;
      } else if (const auto* data = std::get_if<core::BodyData>(&step)) {
        if (!store(s, data->bytes)) {
          s.body.reset();  // the connection lingers: its room is others' now
          answer(s, 503, "The server has no room for the content of this request.", "--spool-max");
          return Progress::answered;
        }
      } else if (std::holds_alternative<core::BodyEnd>(step)) {
        s.body_ended = true;
        s.ready_at = now;
        if (!s.machine.head().asterisk) return Progress::ready;
        answer_asterisk(s);
        progress = Progress::answered;
      } else {
        s.body.reset();
        refuse(s, std::get<core::Rejected>(step));
        return Progress::answered;
      }
    }
  }

  /// Keep content of the request in progress. False: neither memory nor the temporary file has
  /// room.
  [[nodiscard]] bool store(Session<Sys>& s, std::span<const std::byte> bytes) {
    if (!s.body) {
      s.body = std::make_unique<ByteStore<Sys>>(sys_, budget_, config_.spool_dir,
                                                config_.body_memory_bytes);
    }
    return s.body->append(bytes) == Stored::ok;
  }

  /// Take one event of the content of a request that the application reads while it arrives; what
  /// is wrong with it is refused, and kept as the request's error. False: nothing has arrived.
  [[nodiscard]] bool take_content(Session<Sys>& s) {
    core::Step step = s.machine.step();
    if (const auto* data = std::get_if<core::BodyData>(&step)) {
      if (!store(s, data->bytes)) s.body_error = BodyError::storage;
    } else if (std::holds_alternative<core::BodyEnd>(step)) {
      s.body_ended = true;
    } else if (const auto* rejected = std::get_if<core::Rejected>(&step)) {
      s.body_error = s.peer_finished.load(std::memory_order_relaxed) ? BodyError::disconnected
                     : rejected->status == 408                       ? BodyError::timed_out
                                                                     : BodyError::malformed;
      refuse(s, *rejected);
    } else {
      return false;
    }
    return true;
  }

  /// A whole answer by the server to the request in progress, with its WARNING, which names the
  /// `option` that changes it, and its line in the access log.
  void answer(Session<Sys>& s, int status, std::string_view sentence, std::string_view option = {},
              bool close = true) {
    std::string rule(sentence);
    if (!option.empty()) rule.append(" (").append(option).append(")");
    warn(s, status, rule, s.line.view());
    core::ServerAnswer made = server_answer(s, status, sentence);
    if (status == 503) made.retry_after_s = kRetryAfter;
    made.close = close;
    s.status = status;
    s.answer_bytes = s.machine.content_bytes(made);
    log_access(s, sys_.now());
    s.machine.answer(core_id(s), made);
  }

  /// The server's answer to a request whose machine belongs to nobody any more: only read here.
  [[nodiscard]] core::Bytes answer_beside(Session<Sys>& s, int status, std::string_view sentence,
                                          std::string_view rule) {
    warn(s, status, rule, s.line.view());
    const core::ServerAnswer made = server_answer(s, status, sentence);
    s.status = status;
    s.answer_bytes = s.machine.content_bytes(made);
    log_access(s, sys_.now());
    core::Bytes out;
    core::write_answer(out, made, core::Persist::close, s.machine.head().method == "HEAD");
    return out;
  }

  /// The line of the request in progress, before its answer ends (its views end with it). 499 when
  /// the client has left.
  void log_access(const Session<Sys>& s, core::Instant now) {
    if (!config_.access_log) return;
    const core::Head& head = s.machine.head();
    AccessEntry entry;
    entry.peer = peer_text(s.peer);
    entry.method = head.method;
    entry.target = head.target;
    entry.version = head.version == core::Version::http_1_1 ? "HTTP/1.1" : "HTTP/1.0";
    entry.status = s.gone.load(std::memory_order_relaxed) ? 499 : s.status;
    entry.bytes = s.answer_bytes;
    entry.duration = now - s.ready_at;
    entry.request_id = s.id.view();
    log_.access(format_access(entry));
  }

  /// Refuse what the peer sent: the WARNING, and the answer if there is to be one.
  void refuse(Session<Sys>& s, const core::Rejected& rejected) {
    if (rejected.status == 0) return;
    if (rejected.in_body_of == core::RequestId::none) make_id(s, {});
    const std::string rule = core::describe(rejected, config_.limits);
    warn(s, rejected.status, rule, rejected.offending);
    const core::ServerAnswer made = server_answer(s, rejected.status, rule);
    s.status = made.status;
    s.answer_bytes = s.machine.content_bytes(made);
    s.machine.refuse(made);
  }

  [[nodiscard]] core::ServerAnswer server_answer(Session<Sys>& s, int status,
                                                 std::string_view sentence) {
    core::ServerAnswer made;
    made.status = status;
    made.sentence = sentence;
    made.request_id = s.id.view();
    thread_local DateCache cache;
    made.date = date(cache);
    made.server = config_.server_header;
    return made;
  }

  /// Tell how many warnings were left out, if that is due.
  void settle_warnings(core::Instant now) {
    const std::lock_guard lock(warnings_mutex_);
    warnings_.settle(now, [&](std::string_view line) { log_.server(Level::warning, line); });
    warnings_due_.store(warnings_.due(), std::memory_order_relaxed);
  }
  /// When settle_warnings() has something to tell; kNever when nothing was left out.
  [[nodiscard]] core::Instant warnings_due() const noexcept {
    return warnings_due_.load(std::memory_order_relaxed);
  }

  /// IMF-fixdate of now. The view lasts until the next call with the same cache.
  [[nodiscard]] std::string_view date(DateCache& cache) noexcept {
    return cache.at(sys_.unix_time());
  }

  /// One WARNING about an answer that the server made, at most ten a second. `status` 0: not known.
  void warn(const Session<Sys>& s, int status, std::string_view rule, std::string_view offending) {
    std::string text = peer_text(s.peer) + " - ";
    if (status != 0) text += std::to_string(status) + ' ';
    text += rule;
    if (!offending.empty()) {
      text += ": \"";
      append_escaped(text, offending.substr(0, kOffendingBytesMax));
      text += '"';
    }
    const std::lock_guard lock(warnings_mutex_);
    warnings_.pass(
        sys_.now(), [&](std::string_view line) { log_.server(Level::warning, line); }, text);
    warnings_due_.store(warnings_.due(), std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t kRetryAfter =
      1;  // seconds: the queue turns over faster than any smaller number can say

  static std::string hex(std::uint64_t value) {
    char text[17] = "0000000000000000";
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
    const auto n = static_cast<std::size_t>(end - digits);
    std::copy(digits, end, text + 16 - n);
    return {text, 16};
  }

  static core::RequestId core_id(const Session<Sys>& s) noexcept { return s.machine.head().id; }

  void make_id(Session<Sys>& s, std::string_view given) {
    if (!given.empty()) {
      s.id.assign(given);
      return;
    }
    s.id.assign(next_id());
  }

  /// The last id, counted up in hexadecimal where it stands. By the leader.
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

  void begin(Session<Sys>& s, const core::Head& head, core::Instant now) {
    make_id(s, head.request_id);
    if (head.target.starts_with('/')) {  // one piece on the wire, up to a query
      s.line.assign({head.method.data(), head.path.data() + head.path.size()});
    } else {
      s.line.assign(head.method);
      s.line.append(" ");
      s.line.append(head.path);
    }
    s.body.reset();
    s.body_taken = 0;
    s.body_ended = false;
    s.body_error = BodyError::none;
    // Frameworks go by CONTENT_LENGTH, which a chunked body has only when it is complete.
    s.streaming = !config_.request_buffering && head.content == core::Content::length;
    if (!config_.request_buffering && !s.streaming) {
      s.machine.continue_100(head.id);  // nobody reads before it is complete
    }
    s.ready_at = now;
    s.status = 0;
    s.answer_bytes = 0;
    if (!head.dropped_name.empty()) log_dropped(head.dropped_name);
  }

  void answer_asterisk(Session<Sys>& s) {
    core::ServerAnswer made = server_answer(s, 204, {});
    made.close = false;
    s.machine.answer(core_id(s), made);
  }

  /// A field name that never reaches the application is logged once per name; the set of names is
  /// bounded.
  void log_dropped(std::string_view name) {
    const std::lock_guard lock(warnings_mutex_);
    if (dropped_.size() >= kDroppedNamesMax || !dropped_.emplace(name).second) return;
    std::string text = "field \"";
    append_escaped(text, name.substr(0, kOffendingBytesMax));
    text += "\" is dropped: names with \"_\" and the name Proxy never reach the application";
    log_.server(Level::warning, text);
  }

  static constexpr std::size_t kIdPrefixBytes = 9;  // with the dash
  static constexpr std::size_t kOffendingBytesMax = 80;
  static constexpr std::size_t kDroppedNamesMax = 64;

  Sys& sys_;
  const Config& config_;
  Log& log_;
  SpoolBudget budget_;
  core::Policy policy_;
  std::string last_id_;  // a random prefix of the process, "-", and a count
  typename Sys::Mutex warnings_mutex_;
  WarningLimit warnings_;
  std::atomic<core::Instant> warnings_due_{core::kNever};
  std::set<std::string, std::less<>> dropped_;
};

}  // namespace iotax::driver
