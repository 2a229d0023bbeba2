// Python exceptions on their way into the log. It decides how a failure reads there, not what
// becomes of the request.
#pragma once

#include <Python.h>

#include <string>

#include "bridge/capi/ref.h"

namespace iotax::bridge {

/// The exception that is set, with its traceback; none is set afterwards. Empty when none was.
[[nodiscard]] Ref take_exception() noexcept;

/// Sets an exception that take_exception() gave.
void restore_exception(Ref exception) noexcept;

/// What Python would print: traceback, chained exceptions, the exception itself; without a line end
/// at its end. An exception that cannot be formatted is named by its type.
[[nodiscard]] std::string formatted(PyObject* exception);

/// Imports what formatted() needs. false: a Python exception is set.
[[nodiscard]] bool init_py_error();

}  // namespace iotax::bridge
