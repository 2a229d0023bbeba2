// wsgi.errors: a text stream into the server log (PEP 3333, "Input and Error Streams"). Text is
// logged unchanged, without level and prefix, whatever --log-level is; or as records, if the log
// makes records. It does not belong to a request: an application may keep it and write to it from
// any thread.
#pragma once

#include <Python.h>

#include "bridge/capi/ref.h"
#include "bridge/wsgi/request.h"
#include "driver/log/log.h"

namespace iotax::bridge {

/// false: a Python exception is set.
[[nodiscard]] bool init_error_stream_type();
/// Empty with an exception if memory runs out. `log` must live until cut_off_error_stream().
[[nodiscard]] Ref make_error_stream(driver::Log& log) noexcept;
/// Until end_error_line(), what the thread of `request` writes is logged with the request's ids.
/// Only for a log that makes records.
void begin_error_lines(PyObject* stream, const Request& request) noexcept;
/// End an unfinished line with a line feed (S-ERR-01). Called when a request ends.
void end_error_line(PyObject* stream) noexcept;
/// Detach the stream from the log before the log is destroyed; later writes are dropped.
void cut_off_error_stream(PyObject* stream) noexcept;

}  // namespace iotax::bridge
