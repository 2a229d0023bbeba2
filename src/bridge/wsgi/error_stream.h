// wsgi.errors: a text stream into the server log (PEP 3333, "Input and Error Streams"). What is
// written appears there as it is: without level and prefix, whatever --log-level says. It is no
// part of a request: an application may keep it, and write to it from any thread.
#pragma once

#include <Python.h>

#include "bridge/capi/ref.h"
#include "driver/log/log.h"

namespace iotax::bridge {

/// false: a Python exception is set.
[[nodiscard]] bool init_error_stream_type();
/// Empty with an exception when there is no memory. `log` must live until cut_off_error_stream().
[[nodiscard]] Ref make_error_stream(driver::Log& log) noexcept;
/// A last line without a line feed gets one (S-ERR-01). Called when a request ends.
void end_error_line(PyObject* stream) noexcept;
/// The log goes away; what is written later is dropped.
void cut_off_error_stream(PyObject* stream) noexcept;

}  // namespace iotax::bridge
