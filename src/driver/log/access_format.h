// The format of access lines, compiled once from the text of the option: a list of parts, and what
// has to be collected for them. It must not know requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace iotax::driver {

/// What a part of a line shows. A comment gives the atom that asks for it in a text, if one does.
enum class Shown : std::uint8_t {
  literal,
  timestamp,           // 2026-11-29T10:02:20.123Z
  clf_time,            // t
  client,              // h
  client_and_port,     // as the default format shows it
  peer,                // peer
  request_line,        // r
  method,              // m
  path,                // U
  query,               // q
  protocol,            // H
  status,              // s
  status_and_phrase,   // 200 OK
  sent_bytes,          // B
  sent_bytes_or_dash,  // b
  received_bytes,      // in
  seconds,             // T
  milliseconds,        // M
  microseconds,        // D
  exact_seconds,       // L
  tenths_of_ms,        // 2.3
  queue_seconds,       // queue
  app_seconds,         // app
  process_id,          // p
  worker,              // worker
  request_id,          // id
  trace_id,            // trace_id
  span_id,             // span_id
  end,                 // end
  request_field,       // {Name}i, f, a
  collected,           // {Name}o, {KEY}e, u
};

struct Part {
  Shown shown = Shown::literal;
  std::string text;       // literal: the text; request_field: the name in lower case
  std::size_t index = 0;  // collected: which of AccessFormat::collected()
  bool quoted = false;    // stands between double quotes of the text
};

/// A value that must be copied before the request has ended.
struct Collected {
  enum class From : std::uint8_t {
    response,  // a field of the application's response
    environ,   // read after the call
  };
  From from;
  std::string name;  // of a field: in lower case
};

/// Why a text is not a format.
struct FormatFault {
  std::size_t at = 0;  // offset of the fault in bytes
  std::string text;    // what is wrong there; completes a sentence after the place
};

class AccessFormat {
 public:
  /// `CLIENT - "REQUEST LINE" STATUS REASON BYTES DURATION ID`, after the time if `timestamp`.
  AccessFormat() : AccessFormat(false) {}
  explicit AccessFormat(bool timestamp);
  /// One JSON object per line.
  [[nodiscard]] static AccessFormat json();
  /// `default`, `combined`, `json`, or a text with atoms. `timestamp` is for `default`.
  [[nodiscard]] static std::variant<AccessFormat, FormatFault> compile(std::string_view text,
                                                                       bool timestamp);
  /// The names of all atoms, without those that name a field or a key.
  [[nodiscard]] static std::vector<std::string_view> atoms();

  [[nodiscard]] bool is_json() const noexcept { return json_; }
  /// Of a line that is not JSON.
  [[nodiscard]] std::span<const Part> parts() const noexcept { return parts_; }

  // ---- what a line needs besides what is known of each request
  [[nodiscard]] bool needs_time() const noexcept { return needs_time_; }
  [[nodiscard]] bool needs_trace() const noexcept { return needs_trace_; }
  /// The duration of the call, which is known only after the end of the response.
  [[nodiscard]] bool needs_app() const noexcept { return needs_app_; }
  [[nodiscard]] std::span<const Collected> collected() const noexcept { return collected_; }
  [[nodiscard]] bool collects(Collected::From from) const noexcept;

 private:
  class Compiler;
  struct Empty {};
  explicit AccessFormat(Empty) {}

  Part& add(Shown shown, std::string text = {});
  void add_literal(std::string_view text);
  void add_collected(Collected::From from, std::string name);

  std::vector<Part> parts_;
  bool in_quotes_ = false;  // at the end of the parts
  std::vector<Collected> collected_;
  bool json_ = false;
  bool needs_time_ = false;
  bool needs_trace_ = false;
  bool needs_app_ = false;
};

/// What a JSON line collects, in the order of AccessFormat::collected().
enum class JsonCollected : std::size_t { url_scheme, server_name, server_port };

}  // namespace iotax::driver
