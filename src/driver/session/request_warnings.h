// Warnings about requests in the server log, limited in number. Decides how a warning names the
// client and the request; it must not know the rules.
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "core/instant.h"
#include "driver/endpoints.h"
#include "driver/env.h"
#include "driver/log/escape.h"
#include "driver/log/log.h"
#include "driver/log/warning_limit.h"
#include "driver/session/session.h"

namespace iotax::driver {

/// Thread-safe; what is logged of a session is for its owner.
template <Env E>
class RequestWarnings {
 public:
  /// Both are borrowed.
  RequestWarnings(typename E::Sys& sys, Log& log) noexcept : sys_(sys), log_(log) {}

  /// Log a WARNING about a response of the server, at most ten per second. It names the client, the
  /// fault, the request as far as it is known, and its id. `status` 0: unknown.
  void warn(const Session<E>& s, int status, std::string_view rule, std::string_view offending) {
    std::string text = client_text(s) + " - ";
    if (status > 0) text += std::to_string(status) + ' ';
    text += rule;
    if (!offending.empty()) {
      text += ": \"";
      append_escaped(text, offending.substr(0, kShownBytesMax));
      text += '"';
    }
    append_request(text, s, offending);
    warn(text, ids_of(s));
  }
  /// Log a WARNING, at most ten per second. `about`: the request in progress.
  void warn(std::string_view text, const RequestIds& about = {}) {
    const std::lock_guard lock(mutex_);
    const core::Instant now = sys_.now();
    limit_.settle(now, [&](std::string_view line) { log_.server(Level::warning, line); });
    limit_.pass(
        now, [&](std::string_view line) { log_.server(Level::warning, line, about); }, text);
    due_.store(limit_.due(), std::memory_order_relaxed);
  }
  /// Log a header that is not passed to the application, once per name; the set of names is
  /// bounded.
  void warn_of_dropped(const Session<E>& s, std::string_view name) {
    const std::lock_guard lock(mutex_);
    if (dropped_.size() >= kDroppedNamesMax || !dropped_.emplace(name).second) return;
    std::string text = client_text(s) + " - field \"";
    append_escaped(text, name.substr(0, kShownBytesMax));
    text += "\" is dropped: names with \"_\" and the name Proxy never reach the application; seen";
    append_request(text, s, {});
    log_.server(Level::warning, text, ids_of(s));
  }

  /// Log how many warnings were suppressed, if that is due.
  void settle(core::Instant now) {
    const std::lock_guard lock(mutex_);
    limit_.settle(now, [&](std::string_view line) { log_.server(Level::warning, line); });
    due_.store(limit_.due(), std::memory_order_relaxed);
  }
  /// When settle() has something to log; kNever when no warning was suppressed.
  [[nodiscard]] core::Instant due() const noexcept { return due_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kDroppedNamesMax = 64;

  static RequestIds ids_of(const Session<E>& s) noexcept {
    return {s.stream.id.view(), s.stream.trace.view()};
  }
  static std::string client_text(const Session<E>& s) {
    return s.stream.client.empty() ? peer_text(s.link.endpoints) : s.stream.client;
  }
  /// " in GET /path (ID)", without the request where `offending` begins with it.
  static void append_request(std::string& text, const Session<E>& s, std::string_view offending) {
    const std::string_view line = s.stream.line.view();
    if (!line.empty() && !offending.starts_with(line) &&
        !(line.starts_with(offending) && !offending.empty())) {
      text += " in ";
      append_escaped(text, line);
    }
    text.append(" (").append(s.stream.id.view()).append(")");
  }

  typename E::Sys& sys_;
  Log& log_;
  Mutex<E> mutex_;
  WarningLimit limit_;
  std::atomic<core::Instant> due_{core::kNever};
  std::set<std::string, std::less<>> dropped_;
};

}  // namespace iotax::driver
