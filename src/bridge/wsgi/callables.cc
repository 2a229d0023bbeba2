#include "bridge/wsgi/callables.h"

#include <cstddef>
#include <new>

#include "bridge/capi/static_type.h"

namespace iotax::bridge {
namespace {

void free_bound(PyObject* self) {
  reinterpret_cast<BoundCallable*>(self)->request.~RequestRef();
  PyObject_Free(self);
}

PyTypeObject type_of(const char* name, const char* doc) noexcept {
  PyTypeObject type = static_type(name, doc, sizeof(BoundCallable), free_bound);
  type.tp_call = PyVectorcall_Call;
  type.tp_vectorcall_offset = offsetof(BoundCallable, vectorcall);
  type.tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
  return type;
}

PyTypeObject start_response_type = type_of(
    "iotax.start_response", "start_response(status, headers, exc_info=None) -> write. PEP 3333.");
PyTypeObject write_type =
    type_of("iotax.write", "write(data): send a block of the response immediately. PEP 3333.");
PyTypeObject early_hints_type = type_of("iotax.early_hints",
                                        "wsgi.early_hints(headers): send 103 (Early Hints) now; "
                                        "does nothing after the response has begun.");
PyTypeObject client_disconnected_type =
    type_of("iotax.client_disconnected",
            "client_disconnected() -> bool: a reset or a failed send was seen.");

struct Kind {
  PyTypeObject* type;
  vectorcallfunc function;
};

Kind kind_of(BoundKind kind) noexcept {
  switch (kind) {
    case BoundKind::start_response:
      return {&start_response_type, start_response};
    case BoundKind::write:
      return {&write_type, write};
    case BoundKind::early_hints:
      return {&early_hints_type, early_hints};
    case BoundKind::client_disconnected:
      break;
  }
  return {&client_disconnected_type, client_disconnected};
}

}  // namespace

bool init_bound_types() {
  for (PyTypeObject* const type :
       {&start_response_type, &write_type, &early_hints_type, &client_disconnected_type}) {
    if (PyType_Ready(type) != 0) return false;
  }
  return true;
}

Ref make_bound(BoundKind kind, Request& request) noexcept {
  const auto [type, function] = kind_of(kind);
  auto* const made = PyObject_New(BoundCallable, type);
  if (made == nullptr) return {};
  made->vectorcall = function;
  new (&made->request) RequestRef{request};
  return Ref::steal(reinterpret_cast<PyObject*>(made));
}

bool one_argument(const char* what, size_t nargsf, PyObject* kwnames) noexcept {
  const Py_ssize_t given = PyVectorcall_NARGS(nargsf);
  if (given == 1 && kwnames == nullptr) return true;
  PyErr_Format(PyExc_TypeError, "%s takes exactly one positional argument (%zd given%s)", what,
               given, kwnames == nullptr ? "" : ", and keywords");
  return false;
}

}  // namespace iotax::bridge
