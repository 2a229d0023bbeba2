#include "bridge/capi/exceptions.h"

#include <cerrno>
#include <cstring>

namespace iotax::bridge {
namespace {

Exceptions all_exceptions{};

struct Entry {
  PyObject* Exceptions::*member;
  const char* name;
  const char* doc;
  bool base = false;  // a BaseException, not a ConnectionError
};

constexpr Entry kEntries[] = {
    {&Exceptions::client_disconnected, "iotax.ClientDisconnected",
     "The client has disconnected: nothing more can be received or sent."},
    {&Exceptions::body_timed_out, "iotax.BodyTimedOut",
     "The client sent the rest of the body too slowly."},
    {&Exceptions::body_malformed, "iotax.BodyMalformed",
     "The rest of the body breaks the framing, or is over the limit."},
    {&Exceptions::request_timeout, "iotax.RequestTimeout",
     "The call exceeded --request-timeout; its client has got a response.", true},
};

void raise_os_error(PyObject* type, int error, const char* text) {
  PyObject* const args = Py_BuildValue("(is)", error, text);
  if (args == nullptr) return;
  PyErr_SetObject(type, args);
  Py_DECREF(args);
}

}  // namespace

bool init_exceptions(PyObject* module) {
  for (const Entry& entry : kEntries) {
    PyObject*& exception = all_exceptions.*entry.member;
    if (exception == nullptr) {
      exception = PyErr_NewExceptionWithDoc(
          entry.name, entry.doc, entry.base ? PyExc_BaseException : PyExc_ConnectionError, nullptr);
      if (exception == nullptr) return false;
    }
    if (PyModule_AddObjectRef(module, std::strchr(entry.name, '.') + 1, exception) != 0)
      return false;
  }
  return true;
}

const Exceptions& exceptions() noexcept { return all_exceptions; }

const char* text_of(driver::BodyError error) noexcept {
  switch (error) {
    case driver::BodyError::none:
      break;
    case driver::BodyError::disconnected:
      return "the client disconnected before the end of its request body";
    case driver::BodyError::timed_out:
      return "the client sent its request body too slowly";
    case driver::BodyError::malformed:
      return "the request body is malformed or over the limit";
    case driver::BodyError::storage:
      return "the stored request body could not be read";
  }
  return "the request body was read";
}

bool blames_client(PyObject* exception) noexcept {
  for (PyObject* const kind : {all_exceptions.client_disconnected, all_exceptions.body_timed_out,
                               all_exceptions.body_malformed}) {
    if (PyErr_GivenExceptionMatches(exception, kind) != 0) return true;
  }
  return false;
}

void raise_body_error(driver::BodyError error) {
  switch (error) {
    case driver::BodyError::none:
      break;
    case driver::BodyError::disconnected:
      return raise_os_error(all_exceptions.client_disconnected, ECONNRESET, text_of(error));
    case driver::BodyError::timed_out:
      return raise_os_error(all_exceptions.body_timed_out, ETIMEDOUT, text_of(error));
    case driver::BodyError::malformed:
      return raise_os_error(all_exceptions.body_malformed, EPROTO, text_of(error));
    case driver::BodyError::storage:
      return raise_os_error(PyExc_OSError, EIO, text_of(error));
  }
}

void raise_unsupported(const char* text) {
  PyObject* const io = PyImport_ImportModule("io");
  PyObject* const type =
      io == nullptr ? nullptr : PyObject_GetAttrString(io, "UnsupportedOperation");
  Py_XDECREF(io);
  if (type == nullptr) return;  // the exception of the lookup stays set
  PyErr_SetString(type, text);
  Py_DECREF(type);
}

void raise_gone() {
  raise_os_error(all_exceptions.client_disconnected, EPIPE, "the client has disconnected");
}

}  // namespace iotax::bridge
