#include "driver/log/access_line.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

#include "core/reason_phrase.h"
#include "core/target.h"
#include "core/text.h"
#include "driver/log/escape.h"
#include "driver/log/json_record.h"
#include "driver/log/write_value.h"

namespace iotax::driver {
namespace {

std::uint64_t whole(core::Duration value, core::Duration unit) noexcept {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value / unit, 0));
}

/// Writes the parts of a text format.
class TextLine {
 public:
  TextLine(core::Bytes& out, const AccessEntry& entry) noexcept : out_(out), entry_(entry) {}

  void write(const Part& part) {
    using std::chrono::microseconds, std::chrono::milliseconds, std::chrono::seconds;
    const AccessEntry& e = entry_;
    switch (part.shown) {
      case Shown::literal:
        return out_.append(part.text);
      case Shown::timestamp:
        out_.close(write_time(out_.open(kValueBytesMax), e.unix_time, 3));
        return out_.append("Z");
      case Shown::clf_time:
        return out_.close(write_clf_time(out_.open(kValueBytesMax), e.unix_time));
      case Shown::client:
        if (!e.client.empty()) return text(e.client);
        return plain(e.peer->unix_socket ? "unix" : e.peer->remote_addr);
      case Shown::client_and_port:
        return e.client.empty() ? peer() : text(e.client);
      case Shown::peer:
        return peer();
      case Shown::request_line:
        return request_line();
      case Shown::method:
        return text(e.method);
      case Shown::path:
        return text(e.path);
      case Shown::query:
        return escaped(e.query);
      case Shown::protocol:
        return plain(e.version);
      case Shown::status:
        return e.status > 0 ? number(static_cast<std::uint64_t>(e.status)) : dash();
      case Shown::status_and_phrase:
        return status_and_phrase();
      case Shown::sent_bytes:
        return number(e.sent_bytes);
      case Shown::sent_bytes_or_dash:
        return e.sent_bytes != 0 ? number(e.sent_bytes) : dash();
      case Shown::received_bytes:
        return number(e.received_bytes);
      case Shown::seconds:
        return number(whole(e.duration, seconds{1}));
      case Shown::milliseconds:
        return number(whole(e.duration, milliseconds{1}));
      case Shown::microseconds:
        return number(whole(e.duration, microseconds{1}));
      case Shown::exact_seconds:
        return exact(e.duration);
      case Shown::tenths_of_ms: {
        const std::uint64_t tenths = whole(e.duration, microseconds{100});
        number(tenths / 10);
        char* const to = out_.open(2);
        to[0] = '.';
        return out_.close(write_digits(to + 1, tenths % 10, 1));
      }
      case Shown::queue_seconds:
        return e.queue ? exact(*e.queue) : dash();
      case Shown::app_seconds:
        return e.app ? exact(*e.app) : dash();
      case Shown::process_id:
        out_.append("<");
        number(static_cast<std::uint64_t>(e.process_id));
        return out_.append(">");
      case Shown::worker:
        return e.worker != 0 ? number(e.worker) : dash();
      case Shown::request_id:
        return plain(e.request_id);
      case Shown::trace_id:
        return plain(e.trace.trace_id);
      case Shown::span_id:
        return plain(e.trace.span_id);
      case Shown::end:
        return out_.append(word_of(e.end));
      case Shown::request_field:
        return request_field(part);
      case Shown::collected: {
        const bool there = part.index < e.collected.size() && e.collected[part.index].there;
        return there ? chosen(part, e.collected[part.index].text) : dash();
      }
    }
  }

 private:
  void dash() { out_.append("-"); }
  void number(std::uint64_t value) { out_.close(write_number(out_.open(kValueBytesMax), value)); }
  void exact(core::Duration value) { out_.close(write_seconds(out_.open(kValueBytesMax), value)); }
  void escaped(std::string_view bytes) {
    out_.close(write_escaped(out_.open(4 * bytes.size()), bytes));
  }
  void text(std::string_view bytes) { bytes.empty() ? dash() : escaped(bytes); }
  /// A text that needs no escapes.
  void plain(std::string_view bytes) { bytes.empty() ? dash() : out_.append(bytes); }

  void peer() {
    const Peer& p = *entry_.peer;
    if (p.unix_socket) return out_.append("unix");
    const bool brackets = p.remote_addr.find(':') != std::string::npos;
    if (brackets) out_.append("[");
    out_.append(p.remote_addr);
    out_.append(brackets ? "]:" : ":");
    out_.append(p.remote_port);
  }

  void request_line() {
    if (entry_.method.empty()) return dash();
    escaped(entry_.method);
    if (!entry_.target.empty()) {
      out_.append(" ");
      escaped(entry_.target);
    }
    if (entry_.version.empty()) return;
    out_.append(" ");
    out_.append(entry_.version);
  }

  void status_and_phrase() {
    if (entry_.status <= 0) return dash();
    number(static_cast<std::uint64_t>(entry_.status));
    const std::string_view phrase = core::reason_phrase(entry_.status);
    if (phrase.empty()) return;
    out_.append(" ");
    out_.append(phrase);
  }

  void request_field(const Part& part) {
    bool there = false;
    for (const core::Field& field : entry_.fields) {
      if (!core::same_ignoring_case(field.name, part.text)) continue;
      if (there) chosen(part, ", ");
      there = true;
      chosen(part, field.value);
    }
    if (!there) dash();
  }

  /// A value that may contain spaces. Without quotes around it, it stays one word.
  void chosen(const Part& part, std::string_view bytes) {
    if (part.quoted) return escaped(bytes);
    for (;;) {
      const std::size_t space = bytes.find(' ');
      escaped(bytes.substr(0, space));
      if (space == std::string_view::npos) return;
      out_.append("\\x20");
      bytes.remove_prefix(space + 1);
    }
  }

  core::Bytes& out_;
  const AccessEntry& entry_;
};

/// The values of a field, for JsonRecord::text().
class Joined {
 public:
  Joined(std::span<const core::Field> fields, std::string_view lower) noexcept {
    for (const core::Field& field : fields) {
      if (!core::same_ignoring_case(field.name, lower) || count_ + 2 > pieces_.size()) continue;
      if (count_ != 0) pieces_[count_++] = ", ";
      pieces_[count_++] = field.value;
    }
  }
  [[nodiscard]] std::span<const std::string_view> pieces() const noexcept {
    return std::span(pieces_).first(count_);
  }

 private:
  std::array<std::string_view, 16> pieces_{};  // further lines are left out
  std::size_t count_ = 0;
};

void append_addresses(JsonRecord& record, const AccessEntry& e) {
  const Peer& peer = *e.peer;
  if (e.client.empty()) {
    record.plain("client.address", peer.remote_addr);
    if (!peer.remote_port.empty()) record.raw("client.port", peer.remote_port);
  } else {
    record.text("client.address", e.client);
  }
  const std::string& socket_port = peer.proxy ? peer.proxy->remote_port : peer.remote_port;
  const bool unix_socket = peer.proxy ? peer.proxy->unix_socket : peer.unix_socket;
  record.plain("network.peer.address", peer.proxy ? peer.proxy->remote_addr : peer.remote_addr);
  if (!socket_port.empty()) record.raw("network.peer.port", socket_port);
  record.plain("network.transport", unix_socket ? "unix" : "tcp");
  record.plain("network.protocol.name", "http");
  record.plain("network.protocol.version",
               e.version.substr(std::min<std::size_t>(e.version.size(), 5)));
}

void append_request(JsonRecord& record, const AccessEntry& e) {
  const auto collected = [&](JsonCollected which) -> std::string_view {
    const auto index = static_cast<std::size_t>(which);
    if (index >= e.collected.size() || !e.collected[index].there) return {};
    return e.collected[index].text;
  };
  record.text("http.request.method", e.method);
  record.text("url.scheme", collected(JsonCollected::url_scheme));
  record.text("url.path", e.path);
  record.text("url.query", e.query);
  record.text("server.address", collected(JsonCollected::server_name));
  const std::string_view port = collected(JsonCollected::server_port);
  // A number in JSON has no leading zero.
  if (!port.empty() && port.front() != '0' && core::is_port(port)) record.raw("server.port", port);
  record.text("user_agent.original", Joined(e.fields, "user-agent").pieces());
  record.text("http.request.header.referer", Joined(e.fields, "referer").pieces(), "[\"", "\"]");
  record.number("http.request.body.size", e.received_bytes);
}

void append_response(JsonRecord& record, const AccessEntry& e, std::string_view status) {
  if (e.status > 0) record.raw("http.response.status_code", status);
  record.number("http.response.body.size", e.sent_bytes);
  record.seconds("http.server.request.duration", e.duration);
  if (e.receive) record.seconds("iotax.receive.duration", *e.receive);
  if (e.queue) record.seconds("iotax.queue.duration", *e.queue);
  if (e.app) record.seconds("iotax.app.duration", *e.app);
  record.plain("iotax.by", word_of(e.by));
  record.plain("iotax.end", word_of(e.end));
  record.text("error.type", e.error);
}

void append_json(core::Bytes& out, const AccessEntry& e, std::size_t text_bytes_max) {
  JsonRecord record(out, text_bytes_max);
  record.timestamp(e.unix_time);
  record.plain("severity", "INFO");
  std::array<char, kValueBytesMax> digits{'-'};
  const char* const digits_end =
      e.status > 0 ? write_number(digits.data(), static_cast<std::uint64_t>(e.status))
                   : digits.data() + 1;
  const std::string_view status{digits.data(),
                                static_cast<std::size_t>(digits_end - digits.data())};
  const std::string_view message[]{e.method.empty() ? "-" : e.method, e.target.empty() ? "" : " ",
                                   e.target, " ", status};
  record.text("message", message);
  record.plain("logger", "iotax.access");
  record.number("process.pid", static_cast<std::uint64_t>(e.process_id));
  if (e.worker != 0) record.number("iotax.worker", e.worker);
  record.plain("iotax.request_id", e.request_id);
  record.plain("trace_id", e.trace.trace_id);
  record.plain("span_id", e.trace.span_id);
  record.plain("trace_flags", e.trace.flags);
  append_addresses(record, e);
  append_request(record, e);
  append_response(record, e, status);
  record.end("iotax.cut");
}

/// Cut the texts only as far as necessary.
void append_json_line(core::Bytes& out, const AccessEntry& e) {
  static constexpr std::size_t kTextBytesMax[]{kJsonLineBytesMax, 1024, 512, 256};
  const std::size_t before = out.size();
  for (const std::size_t most : kTextBytesMax) {
    out.truncate(before);
    append_json(out, e, most);
    if (out.size() - before < kJsonLineBytesMax) break;
  }
}

}  // namespace

std::string_view word_of(By by) noexcept {
  switch (by) {
    case By::app:
      return "app";
    case By::server:
      return R"(server)";  // no header
  }
  return {};
}

std::string_view word_of(End end) noexcept {
  switch (end) {
    case End::complete:
      return "complete";
    case End::client_gone:
      return "client_gone";
    case End::client_slow:
      return "client_slow";
    case End::app_error:
      return "app_error";
    case End::deadline:
      return "deadline";
    case End::shutdown:
      return "shutdown";
    case End::rejected:
      return "rejected";
    case End::overloaded:
      return "overloaded";
  }
  return {};
}

void append_access(core::Bytes& out, const AccessFormat& format, const AccessEntry& entry) {
  if (format.is_json()) {
    append_json_line(out, entry);
  } else {
    TextLine line(out, entry);
    for (const Part& part : format.parts()) line.write(part);
  }
  out.append("\n");
}

}  // namespace iotax::driver
