// One line of the access log from the facts of one request. Pure formatting; it must not know where
// lines go.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/events.h"
#include "core/instant.h"
#include "core/trace_context.h"
#include "driver/endpoints.h"
#include "driver/log/access_format.h"

namespace iotax::driver {

/// Who made the response.
enum class By : std::uint8_t { app, server };

/// How a request ended.
enum class End : std::uint8_t {
  complete,
  client_gone,
  client_slow,  // took or sent nothing for too long, or too little
  app_error,    // the application failed, or gave less than it had announced
  deadline,     // --request-timeout
  shutdown,
  rejected,    // by a rule of the server
  overloaded,  // no room or thread in time
};

/// The words of the logs.
[[nodiscard]] std::string_view word_of(By by) noexcept;
[[nodiscard]] std::string_view word_of(End end) noexcept;

/// A value of AccessFormat::collected(), if there is one. Its memory is used again.
struct CollectedValue {
  std::string text;
  bool there = false;
};

/// One request. Unknown texts are empty.
struct AccessEntry {
  const Peer* peer = nullptr;
  std::string_view client;  // the address that a trusted peer gave; empty: that of `peer`
  std::string_view method;
  std::string_view target;  // as received
  std::string_view path;    // of the target
  std::string_view query;
  std::string_view version;             // "HTTP/1.1"; written unchanged
  std::span<const core::Field> fields;  // of the request
  std::span<const CollectedValue> collected;
  int status = 0;  // 499: the client disconnected before its response; 0 or less: no response
  std::uint64_t received_bytes = 0;       // of content
  std::uint64_t sent_bytes = 0;           // of content
  core::Duration duration{};              // from the complete request to the end of the response
  std::optional<core::Duration> receive;  // from its first byte to the complete request
  std::optional<core::Duration> queue;  // wait for a thread; empty: the application was not called
  std::optional<core::Duration> app;    // of the call with close(); empty: not called
  std::string_view request_id;
  core::TraceIds trace;
  By by = By::server;
  End end = End::complete;
  std::string_view error;      // class of an exception, or why the request was rejected
  core::Duration unix_time{};  // now
  int process_id = 0;
  unsigned worker = 0;  // 0: unknown
};

/// A JSON line with its line end is not longer, so that a pipe takes it whole (PIPE_BUF).
inline constexpr std::size_t kJsonLineBytesMax = 4096;

/// Append the line with its line end. Whatever the entry contains, the line holds no control
/// character, and no value ends what the format puts around it.
void append_access(core::Bytes& out, const AccessFormat& format, const AccessEntry& entry);

}  // namespace iotax::driver
