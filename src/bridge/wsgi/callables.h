// The callables that belong to a request: start_response, write, wsgi.early_hints,
// iotax.client_disconnected. All are one layout: a vectorcall function and the request it is bound
// to; which request that is, and when it ends, is decided in call.
#pragma once

#include <Python.h>

#include "bridge/capi/ref.h"
#include "bridge/wsgi/request.h"

namespace iotax::bridge {

/// Made once per application thread and used for all its requests, unless the application keeps
/// one: then `request` is retired, so that every call raises, and the thread gets others.
struct Bound {
  PyObject_HEAD vectorcallfunc vectorcall;
  RequestRef request;
};

/// The request of a vectorcall function's own object, which keeps it alive for the whole call.
[[nodiscard]] inline Request& request_of(PyObject* self) noexcept {
  return *reinterpret_cast<Bound*>(self)->request;
}

enum class BoundKind { start_response, write, early_hints, client_disconnected };

/// false: a Python exception is set.
[[nodiscard]] bool init_bound_types();
/// Empty with an exception when there is no memory.
[[nodiscard]] Ref make_bound(BoundKind kind, Request& request) noexcept;

/// True when exactly one positional argument and no keyword came; else a TypeError is set.
[[nodiscard]] bool one_argument(const char* what, size_t nargsf, PyObject* kwnames) noexcept;

// The functions behind the kinds; start_response.cc and early_hints.cc.
PyObject* start_response(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames);
PyObject* write(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames);
PyObject* early_hints(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames);
PyObject* client_disconnected(PyObject* self, PyObject* const* args, size_t nargsf,
                              PyObject* kwnames);

}  // namespace iotax::bridge
