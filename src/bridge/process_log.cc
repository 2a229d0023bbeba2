#include "bridge/process_log.h"

#include <unistd.h>

#include <string>

namespace iotax::bridge {
namespace {

std::string_view prefix_of(driver::Level level) noexcept {
  switch (level) {
    case driver::Level::debug:
      return "DEBUG:    ";
    case driver::Level::info:
      return "INFO:     ";
    case driver::Level::warning:
      return "WARNING:  ";
    case driver::Level::error:
      return "ERROR:    ";
    case driver::Level::critical:
      return "CRITICAL: ";
  }
  return "";
}

/// Each call is one write(2) of the thread that logs.
class DirectLog final : public driver::Log {
 public:
  void access(std::string_view line) noexcept override { put(settings_.access_fd, "", line); }
  void server(driver::Level level, std::string_view text) noexcept override {
    if (level >= settings_.level) put(settings_.error_fd, prefix_of(level), text);
  }
  bool flush(core::Duration /*timeout*/) noexcept override { return true; }
  void open(const LogSettings& settings) { settings_ = settings; }

 private:
  static void put(int fd, std::string_view prefix, std::string_view text) {
    if (fd < 0) return;
    std::string line;
    line.reserve(prefix.size() + text.size() + 1);
    line.append(prefix).append(text).append("\n");
    (void)!::write(fd, line.data(), line.size());
  }

  LogSettings settings_;
};

DirectLog the_log;

}  // namespace

void open_process_log(const LogSettings& settings) { the_log.open(settings); }

driver::Log& process_log() { return the_log; }

}  // namespace iotax::bridge
