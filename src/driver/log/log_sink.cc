// Formats the lines of the server log.
#include "driver/log/log_sink.h"

#include <array>
#include <cstdint>

#include "core/bytes.h"
#include "core/trace_context.h"
#include "driver/log/json_record.h"
#include "driver/log/write_value.h"

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
  std::array<char, kValueBytesMax> time{};
  const char* const end = write_time(time.data(), unix_time, 3);
  std::string prefix(time.data(), static_cast<std::size_t>(end - time.data()));
  return prefix.append("+00:00 [").append(std::to_string(process_id)).append("] ");
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

std::string format_record(const Level* level, std::string_view text, const RequestIds& about,
                          core::Duration unix_time, int process_id, unsigned worker) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  core::Bytes out;
  JsonRecord record(out, SIZE_MAX);
  record.timestamp(unix_time);
  if (level != nullptr) record.plain("severity", look_of(*level).word);
  record.text("message", text);
  record.plain("logger", level != nullptr ? "iotax" : "wsgi.errors");
  record.number("process.pid", static_cast<std::uint64_t>(process_id));
  if (worker != 0) record.number("iotax.worker", worker);
  record.plain("iotax.request_id", about.request_id);
  const core::TraceIds trace = core::trace_ids(about.trace_parent);
  record.plain("trace_id", trace.trace_id);
  record.plain("span_id", trace.span_id);
  record.end("iotax.cut");
  out.append("\n");
  return std::string(out.text());
}

std::string dropped_text(std::uint64_t lines) {
  return std::to_string(lines) + (lines == 1 ? " log line dropped" : " log lines dropped");
}

template class LogSink<NativeEnv>;

}  // namespace iotax::driver
