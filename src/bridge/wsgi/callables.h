// The callables that belong to a request: start_response, write, wsgi.early_hints,
// iotax.client_disconnected. All have one layout: a vectorcall function and the request it is bound
// to. call decides which request that is and when it ends.
#pragma once

#include <Python.h>

#include "bridge/capi/ref.h"
#include "bridge/wsgi/request.h"

namespace iotax::bridge {

/// Created once per application thread and used for all its requests, unless the application keeps
/// one: then `request` is retired, so that every call raises, and the thread gets new ones.
struct BoundCallable {
  PyObject_HEAD vectorcallfunc vectorcall;
  RequestRef request;
};

/// The request that a vectorcall function's object is bound to; the object keeps it alive during
/// the call.
[[nodiscard]] inline Request& request_of(PyObject* self) noexcept {
  return *reinterpret_cast<BoundCallable*>(self)->request;
}

enum class BoundKind { start_response, write, early_hints, client_disconnected };

/// false: a Python exception is set.
[[nodiscard]] bool init_bound_types();
/// Empty with an exception if memory runs out.
[[nodiscard]] Ref make_bound(BoundKind kind, Request& request) noexcept;

/// True if called with exactly one positional argument and no keyword; otherwise a TypeError is
/// set.
[[nodiscard]] bool one_argument(const char* what, size_t nargsf, PyObject* kwnames) noexcept;

// The functions of the kinds; in start_response.cc and early_hints.cc.
PyObject* start_response(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames);
PyObject* write(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames);
PyObject* early_hints(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames);
PyObject* client_disconnected(PyObject* self, PyObject* const* args, size_t nargsf,
                              PyObject* kwnames);

}  // namespace iotax::bridge
