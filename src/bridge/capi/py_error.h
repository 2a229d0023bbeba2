// Formats Python exceptions for the log. It does not decide how the request ends.
#pragma once

#include <Python.h>

#include <string>

#include "bridge/capi/ref.h"

namespace iotax::bridge {

/// The exception that is set, with its traceback, and clear it. Empty if none is set.
[[nodiscard]] Ref take_exception() noexcept;

/// Set an exception that take_exception() returned.
void restore_exception(Ref exception) noexcept;

/// The text that Python would print: traceback, chained exceptions, the exception itself; without a
/// final newline. An exception that cannot be formatted is named by its type.
[[nodiscard]] std::string formatted(PyObject* exception);

/// Import what formatted() needs. false: a Python exception is set.
[[nodiscard]] bool init_py_error();

}  // namespace iotax::bridge
