// Where lines go: the access log and the server log. Lines are whole, never mixed, never block the
// caller.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/instant.h"

namespace iotax::driver {

enum class Level : std::uint8_t { debug, info, warning, error, critical };

/// Implemented by LogSink (log_sink.h) over Sys, and by recorders in tests.
class Log {
 public:
  virtual ~Log() = default;
  /// `line` without its line end. Copied. Never blocks, never throws; drops and counts whole lines
  /// when its buffer is full.
  virtual void access(std::string_view line) noexcept = 0;
  virtual void server(Level level, std::string_view text) noexcept = 0;
  /// Text of the application for the server log, written as it is: no level, no prefix, no filter.
  /// An unfinished line may be continued by the same `writer`; it is ended before a line of anybody
  /// else, and when `last` says that this writer is done. `writer` is only compared.
  virtual void application(const void* writer, std::string_view text, bool last) noexcept = 0;
  /// Wait until what was logged so far is written, at most `timeout`. False: it was not.
  virtual bool flush(core::Duration timeout) noexcept = 0;
  /// Somebody has moved the log files away: open those of the same names anew.
  virtual void reopen() noexcept = 0;
};

}  // namespace iotax::driver
