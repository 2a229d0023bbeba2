#include "bridge/python_log.h"

#include <Python.h>

#include <algorithm>

#include "driver/log_sink.h"

namespace iotax::bridge {
namespace {

/// Whoever logs may have left the interpreter. An exception in progress stays.
void print(void (*to)(const char*, ...), std::string lines) noexcept {
  std::replace(lines.begin(), lines.end(), '\0', '?');  // C's strings end there
  const PyGILState_STATE state = PyGILState_Ensure();
  to("%s", lines.c_str());
  PyGILState_Release(state);
}

}  // namespace

void PythonLog::access(std::string_view line) noexcept {
  print(&PySys_FormatStdout, std::string(line) + '\n');
}

void PythonLog::server(driver::Level level, std::string_view text) noexcept {
  if (level < level_) return;
  print(&PySys_FormatStderr, driver::format_server({}, level, text, {}, 0));
}

}  // namespace iotax::bridge
