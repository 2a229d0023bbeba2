// What is wrong with an application that does not speak WSGI, in words that say what to write
// instead (beyond 4.4, 5.14, S-SR-01, S-UNI-04). Nothing here looks at an application before it was
// called (S-CALL-01).
#pragma once

#include <Python.h>

#include <string>

#include "bridge/wsgi/request.h"

namespace iotax::bridge {

/// A str, bytes, None, a coroutine, or anything else that no iteration can make an answer of. By C
/// type: asks the object nothing.
[[nodiscard]] bool is_wrong_result(PyObject* result) noexcept;
/// Sets a TypeError about such a result.
void raise_wrong_result(PyObject* result);
/// Sets a TypeError about a block that is not bytes.
void raise_wrong_block(PyObject* block);
/// Sets a RuntimeError: something is to be sent, and start_response was not called, or was refused
/// and the application went on.
void raise_no_head(Head head);
/// A line for the log when calling `application` raised `exception` before any of its code ran;
/// else empty.
[[nodiscard]] std::string hint_about_call(PyObject* application, PyObject* exception);

}  // namespace iotax::bridge
