#include "bridge/module/python_log.h"

#include <Python.h>

#include <algorithm>

#include "driver/log/log_sink.h"

namespace iotax::bridge {
namespace {

/// Acquires the GIL, since the caller may have released it. Keeps an exception that is set.
void print(void (*to)(const char*, ...), std::string lines) noexcept {
  std::replace(lines.begin(), lines.end(), '\0', '?');  // a C string ends at a NUL
  const PyGILState_STATE state = PyGILState_Ensure();
  to("%s", lines.c_str());
  PyGILState_Release(state);
}

}  // namespace

void PythonLog::access(std::string_view line) noexcept {
  print(&PySys_FormatStdout, std::string(line));
}

void PythonLog::server(driver::Level level, std::string_view text,
                       const driver::RequestIds& /*about*/) noexcept {
  if (level < level_) return;
  print(&PySys_FormatStderr, driver::format_server({}, level, text, {}, 0));
}

/// The caller holds the GIL, so only one thread writes at a time.
void PythonLog::application(const void* writer, std::string_view text, bool last,
                            const driver::RequestIds& /*about*/) noexcept {
  const bool within_line = text.empty() ? within_line_of_ == writer : text.back() != '\n';
  const bool ends_other = !text.empty() && within_line_of_ != nullptr && within_line_of_ != writer;
  std::string whole = ends_other ? "\n" : "";
  whole += text;
  if (within_line && last) whole += '\n';
  if (!text.empty() || within_line) within_line_of_ = within_line && !last ? writer : nullptr;
  if (!whole.empty()) print(&PySys_FormatStderr, std::move(whole));
}

}  // namespace iotax::bridge
