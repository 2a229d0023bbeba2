// Detects applications that violate WSGI and says what to write instead (beyond 4.4, 5.14, S-SR-01,
// S-UNI-04). Checks nothing before the application is called (S-CALL-01).
#pragma once

#include <Python.h>

#include <string>

#include "bridge/wsgi/request.h"

namespace iotax::bridge {

/// A str, bytes, None, a coroutine, or anything else that cannot be iterated as a response. Decided
/// by C type: runs no code of the object.
[[nodiscard]] bool is_wrong_result(PyObject* result) noexcept;
/// Set a TypeError about such a result.
void raise_wrong_result(PyObject* result);
/// Set a TypeError about a block that is not bytes.
void raise_wrong_block(PyObject* block);
/// Set a RuntimeError: the application sends data, but start_response was not called, or it was
/// called with invalid arguments and the application continued.
void raise_no_head(Head head);
/// A line for the log if calling `application` raised `exception` before any of its code ran;
/// otherwise empty.
[[nodiscard]] std::string hint_about_call(PyObject* application, PyObject* exception);

}  // namespace iotax::bridge
