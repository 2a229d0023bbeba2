// A log to the streams of Python, whatever sys.stderr and sys.stdout are at that moment, so that
// what catches them in tests catches it too.
#pragma once

#include <string>
#include <string_view>

#include "driver/log/log.h"

namespace iotax::bridge {

/// Server lines from `level` on go to sys.stderr, what the application writes too, access lines to
/// sys.stdout; each is written before the call returns.
class PythonLog final : public driver::Log {
 public:
  explicit PythonLog(driver::Level level) noexcept : level_(level) {}

  void access(std::string_view line) noexcept override;
  void server(driver::Level level, std::string_view text) noexcept override;
  void application(const void* writer, std::string_view text, bool last) noexcept override;
  bool flush(core::Duration /*timeout*/) noexcept override { return true; }
  void reopen() noexcept override {}

 private:
  driver::Level level_;
  const void* within_line_of_ = nullptr;  // who has written a line of which the end is missing
};

}  // namespace iotax::bridge
