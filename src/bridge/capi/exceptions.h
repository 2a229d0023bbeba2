// The exceptions that the server raises into the application. Those about a client are subclasses
// of ConnectionError, and so of OSError, which frameworks already handle; the one about an overdue
// call is a BaseException, which they let pass. Importable from iotax.
#pragma once

#include <Python.h>

#include "driver/application.h"

namespace iotax::bridge {

struct Exceptions {
  PyObject* client_disconnected;  // iotax.ClientDisconnected
  PyObject* body_timed_out;       // iotax.BodyTimedOut
  PyObject* body_malformed;       // iotax.BodyMalformed
  PyObject* request_timeout;      // iotax.RequestTimeout
};

/// Create the exceptions and add them to `module`. false: a Python exception is set.
[[nodiscard]] bool init_exceptions(PyObject* module);
[[nodiscard]] const Exceptions& exceptions() noexcept;

/// Describe why reading a body failed.
[[nodiscard]] const char* text_of(driver::BodyError error) noexcept;
/// Whether the exception is one of those that blame the client.
[[nodiscard]] bool blames_client(PyObject* exception) noexcept;
/// Raise the exception for `error`. Beyond 1.3: on this read and on every later one.
void raise_body_error(driver::BodyError error);
/// Sets io.UnsupportedOperation.
void raise_unsupported(const char* text);
/// Raise ClientDisconnected: nothing more can be sent. Beyond 5.4.
void raise_gone();

}  // namespace iotax::bridge
