// Interface to the access log and the server log. Lines are whole and never mixed, and writing one
// never blocks the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/instant.h"
#include "driver/counters.h"

namespace iotax::driver {

enum class Level : std::uint8_t { debug, info, warning, error, critical };
static_assert(kSeverities.size() == static_cast<std::size_t>(Level::critical) + 1);

/// The ids of the request that a server line is about, for JSON records.
struct RequestIds {
  std::string_view request_id;
  std::string_view trace_parent;  // of core::valid_trace_parent()
};

/// Implemented by LogSink (log_sink.h) over Sys, and by recorders in tests.
class Log {
 public:
  virtual ~Log() = default;
  /// `line` is with its line end and is copied. Never blocks, never throws; when the buffer is
  /// full, whole lines are dropped and counted.
  virtual void access(std::string_view line) noexcept = 0;
  virtual void server(Level level, std::string_view text, const RequestIds& about) noexcept = 0;
  void server(Level level, std::string_view text) noexcept { server(level, text, {}); }
  /// Text of the application for the server log, written unchanged: no level, no prefix, no filter.
  /// The same `writer` may continue an unfinished line; the line is ended before a line of another
  /// writer, and when `last` says that this writer is done. `writer` is only compared.
  virtual void application(const void* writer, std::string_view text, bool last,
                           const RequestIds& about) noexcept = 0;
  /// Whether application() makes a record of each text, so that it should get whole lines.
  [[nodiscard]] virtual bool makes_records() const noexcept { return false; }
  /// Wait until all lines logged so far are written. False: they were not, because the reader of
  /// one log has taken nothing for `patience`, or because kFlushPatiences times that has passed.
  virtual bool flush(core::Duration patience) noexcept = 0;
  static constexpr int kFlushPatiences = 10;
  /// What this process has logged and dropped. Text of an application is not counted.
  [[nodiscard]] virtual LogCounts counts() const noexcept { return {}; }
  /// The log files were moved: open new ones under the same names.
  virtual void reopen() noexcept = 0;

  // ---- lines for statsd (statsd.h). A log without them ignores these.

  /// A request has ended. `status`: as in the access log. Never blocks.
  virtual void count_request(int /*status*/, core::Duration /*took*/) noexcept {}
  /// Whether there are enough lines for a datagram.
  [[nodiscard]] virtual bool has_full_datagram() const noexcept { return false; }
  /// Send the lines; unless `all`, in full datagrams only. Never blocks.
  virtual void send_datagrams(bool /*all*/) noexcept {}
};

}  // namespace iotax::driver
