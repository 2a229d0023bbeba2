// Sends the application's result as the response: iterates, delivers block by block, ends, closes.
// It decides the order of these steps and how a failure in each of them is handled (PEP 3333,
// "Buffering and Streaming", "Error Handling"). Framing is core's.
#pragma once

#include <Python.h>

#include "bridge/capi/gil.h"
#include "bridge/capi/ref.h"
#include "bridge/wsgi/request.h"

namespace iotax::bridge {

/// Respond to `request` with `result`, which `application` returned. `result` is empty if the
/// application raised; then that exception is set. On return, exactly one of finish(), fail() and
/// abort() was called on the exchange, close() of the result was called once if it has one, and no
/// exception is set. `quiet_interrupt`: a KeyboardInterrupt is not an application error (the server
/// is stopping, beyond 5.5).
void respond(const Gil& gil, Request& request, PyObject* application, const Ref& result,
             bool quiet_interrupt) noexcept;

}  // namespace iotax::bridge
