// What an application returned becomes an answer: iterated, delivered block by block, ended,
// closed. It decides the order of these steps and what a failure in each of them does (PEP 3333,
// "Buffering and Streaming", "Error Handling"). Framing is core's.
#pragma once

#include <Python.h>

#include "bridge/capi/gil.h"
#include "bridge/capi/ref.h"
#include "bridge/wsgi/request.h"

namespace iotax::bridge {

/// Answers `request` with `result`, what `application` returned; empty when it raised, and then
/// that exception is set. Afterwards exactly one of finish(), fail() and abort() was called on the
/// exchange, close() of the result was called once if it has one, and no exception is set.
/// `quiet_interrupt`: a KeyboardInterrupt is no failure of the application (the server is stopping,
/// beyond 5.5).
void answer(const Gil& gil, Request& request, PyObject* application, const Ref& result,
            bool quiet_interrupt) noexcept;

}  // namespace iotax::bridge
