// Formats the lines of the server log.
#include "driver/log/log_sink.h"

#include <array>
#include <cstdio>

#include "driver/os/civil_time.h"

namespace iotax::driver {
namespace {

struct LevelLook {
  std::string_view word;
  std::string_view color;  // SGR
};

LevelLook look_of(Level level) noexcept {
  switch (level) {
    case Level::debug:
      return {"DEBUG", "\x1b[36m"};
    case Level::info:
      return {"INFO", "\x1b[32m"};
    case Level::warning:
      return {"WARNING", "\x1b[33m"};
    case Level::error:
      return {"ERROR", "\x1b[31m"};
    case Level::critical:
      return {"CRITICAL", "\x1b[91m"};
  }
  return {};
}

constexpr std::size_t kLevelColumn = 10;  // width of "CRITICAL: "

std::string prefix_of(core::Duration unix_time, int process_id) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(unix_time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(ms);
  const CivilTime t = civil_time(seconds.count());
  std::array<char, 80> text;
  const int n =
      std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02u:%02u:%02u.%03d+00:00 [%d] ",
                    static_cast<int>(t.year), t.month, t.day, t.hour, t.minute, t.second,
                    static_cast<int>((ms - seconds).count()), process_id);
  return {text.data(), static_cast<std::size_t>(n)};
}

}  // namespace

std::string format_server(const LogStyle& style, Level level, std::string_view text,
                          core::Duration unix_time, int process_id) {
  const LevelLook look = look_of(level);
  const std::string prefix = style.prefix ? prefix_of(unix_time, process_id) : std::string();
  std::string lines = prefix;
  if (style.color) lines += look.color;
  lines += look.word;
  if (style.color) lines += "\x1b[0m";
  lines += ':';
  lines.append(kLevelColumn - look.word.size() - 1, ' ');
  if (text.ends_with('\n')) text.remove_suffix(1);
  for (;;) {
    const std::size_t end = text.find('\n');
    lines += text.substr(0, end);
    lines += '\n';
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
    lines += prefix;
  }
}

std::string dropped_text(std::uint64_t lines) {
  return std::to_string(lines) + (lines == 1 ? " log line dropped" : " log lines dropped");
}

template class LogSink<NativeEnv>;

}  // namespace iotax::driver
