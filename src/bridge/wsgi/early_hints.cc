// wsgi.early_hints and iotax.client_disconnected, the two callables that iotax adds to environ
// (beyond 4.12 and 5.4). early_hints only adds interim responses and replaces no part of WSGI;
// middleware that buffers or replaces the response cannot stop it (PEP 3333, S-EXT-01).
#include <Python.h>

#include "bridge/wsgi/callables.h"
#include "bridge/wsgi/headers.h"

namespace iotax::bridge {
namespace {

constexpr int kEarlyHints = 103;  // RFC 8297

}  // namespace

PyObject* early_hints(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  if (!one_argument("wsgi.early_hints", nargsf, kwnames)) return nullptr;
  core::ResponseFields fields;
  if (!take_fields(args[0], fields, "wsgi.early_hints")) return nullptr;
  Request& request = request_of(self);
  const ExchangeGuard use{request};
  if (use.exchange() == nullptr) {
    use.raise("wsgi.early_hints");
    return nullptr;
  }
  if (request.head != Head::sent) use.exchange()->inform(kEarlyHints, fields);
  Py_RETURN_NONE;
}

PyObject* client_disconnected(PyObject* self, PyObject* const* /*args*/, size_t nargsf,
                              PyObject* kwnames) {
  if (PyVectorcall_NARGS(nargsf) != 0 || kwnames != nullptr) {
    PyErr_SetString(PyExc_TypeError, "iotax.client_disconnected takes no arguments");
    return nullptr;
  }
  // No ExchangeGuard: this code does not release the GIL, and a thread that polls must not wait for
  // one that writes.
  const driver::Exchange* const exchange = request_of(self).exchange();
  if (exchange == nullptr) {
    raise_ended("iotax.client_disconnected");
    return nullptr;
  }
  return PyBool_FromLong(exchange->gone() ? 1 : 0);
}

}  // namespace iotax::bridge
