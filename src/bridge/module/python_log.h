// A log that writes to the current sys.stderr and sys.stdout, so that tests which capture these
// streams capture the log too.
#pragma once

#include <string>
#include <string_view>

#include "driver/log/log.h"

namespace iotax::bridge {

/// Server lines from `level` on and the application's output go to sys.stderr, access lines to
/// sys.stdout; each is written before the call returns.
class PythonLog final : public driver::Log {
 public:
  explicit PythonLog(driver::Level level) noexcept : level_(level) {}

  void access(std::string_view line) noexcept override;
  using Log::server;
  void server(driver::Level level, std::string_view text,
              const driver::RequestIds& about) noexcept override;
  void application(const void* writer, std::string_view text, bool last,
                   const driver::RequestIds& about) noexcept override;
  bool flush(core::Duration /*patience*/) noexcept override { return true; }
  void reopen() noexcept override {}

 private:
  driver::Level level_;
  const void* within_line_of_ = nullptr;  // the writer of an unfinished line
};

}  // namespace iotax::bridge
