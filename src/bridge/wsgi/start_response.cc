// start_response and write: the rules of PEP 3333 for their order, arguments and errors. core
// decides what a status or a field may contain (response_fields.h); call and request decide when
// data is sent.
#include <Python.h>

#include <string>
#include <string_view>

#include "bridge/capi/exceptions.h"
#include "bridge/capi/interned.h"
#include "bridge/capi/text.h"
#include "bridge/wsgi/callables.h"
#include "bridge/wsgi/headers.h"

namespace iotax::bridge {
namespace {

constexpr const char* kWho = "start_response";

struct Arguments {
  PyObject* status = nullptr;
  PyObject* headers = nullptr;
  PyObject* exc_info = nullptr;  // null when absent or None (S-SR-22)
};

/// S-SR-02: two or three positional arguments; exc_info also by name.
bool read_arguments(PyObject* const* args, size_t nargsf, PyObject* kwnames, Arguments& out) {
  const Py_ssize_t given = PyVectorcall_NARGS(nargsf);
  const Py_ssize_t named = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  if (given < 2 || given + named > 3) {
    PyErr_Format(
        PyExc_TypeError,
        "start_response takes (status, headers) and optionally exc_info (%zd arguments given)",
        given + named);
    return false;
  }
  out.status = args[0];
  out.headers = args[1];
  if (named == 1 && PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, 0), interned().exc_info) != 0) {
    PyErr_Format(PyExc_TypeError, "start_response has no argument %R: the third one is exc_info",
                 PyTuple_GET_ITEM(kwnames, 0));
    return false;
  }
  PyObject* const third = given + named == 3 ? args[2] : Py_None;
  if (third == Py_None) return true;
  if (!PyTuple_Check(third) || PyTuple_GET_SIZE(third) != 3) {
    PyErr_Format(PyExc_TypeError,
                 "start_response: exc_info must be the tuple of sys.exc_info() or None, not %.100s",
                 Py_TYPE(third)->tp_name);
    return false;
  }
  out.exc_info = third;
  return true;
}

/// S-SR-18, S-SR-19: the head was sent, so raise the exception itself, with its traceback.
PyObject* raise_again(PyObject* exc_info) {
  PyObject* const value = PyTuple_GET_ITEM(exc_info, 1);
  PyObject* const traceback = PyTuple_GET_ITEM(exc_info, 2);
  if (!PyExceptionInstance_Check(value)) {
    PyErr_SetString(PyExc_RuntimeError,
                    "start_response was called with exc_info after the head had been sent");
    return nullptr;
  }
  if (PyTraceBack_Check(traceback) && PyException_SetTraceback(value, traceback) != 0)
    return nullptr;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(value)), value);
  return nullptr;
}

/// S-SR-06, S-SR-07, S-UNI-03, beyond 4.11.
bool check_status(PyObject* status) {
  if (!PyUnicode_Check(status)) {
    const char* const instead =
        PyBytes_Check(status) ? "without the b" : "with code and reason phrase";
    PyErr_Format(
        PyExc_TypeError,
        "start_response: the status must be a str such as '200 OK', not %R (%.100s): write it %s",
        status, Py_TYPE(status)->tp_name, instead);
    return false;
  }
  std::string_view text;
  if (!latin1_view(status, text)) {
    PyErr_SetString(
        PyExc_ValueError,
        "start_response: the status contains characters outside Latin-1: use ASCII only, "
        "e.g. '200 OK'");
    return false;
  }
  if (const core::HeadFault fault = core::check_status(text); fault != core::HeadFault::none)
      [[unlikely]] {
    const Ref repr = Ref::steal(PyObject_Repr(status));
    if (!repr) return false;
    const std::string who = "start_response: status " + utf8(repr.get());
    raise_head_fault(who, "", fault);
    return false;
  }
  return true;
}

/// Beyond 5.12: logged, because applications swallow this exception.
[[gnu::cold]] PyObject* refuse_second_call(Request& request) {
  request.log(driver::Level::warning,
              "start_response was called a second time without exc_info in " + request.described());
  PyErr_SetString(PyExc_RuntimeError,
                  "start_response was called a second time: pass sys.exc_info() as third argument "
                  "to replace the response");
  return nullptr;
}

/// Except HEAD, which is already known; RFC 9110 §15.3.5, §15.4.5.
bool status_without_body(PyObject* status) noexcept {
  std::string_view text;
  if (!latin1_view(status, text)) return false;
  const int code = core::code_of(text);
  return code == 204 || code == 304;
}

}  // namespace

PyObject* start_response(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  Request& request = request_of(self);
  Arguments given;
  if (!read_arguments(args, nargsf, kwnames, given)) return nullptr;
  // From here to the end, nothing releases the GIL or runs Python code unless the call fails.
  if (request.exchange() == nullptr) [[unlikely]] {
    raise_ended("start_response");
    return nullptr;
  }
  if (request.head != Head::none) [[unlikely]] {
    if (given.exc_info == nullptr) return refuse_second_call(request);
    if (request.head == Head::sent) return raise_again(given.exc_info);
  }
  // S-SR-20: a call counts even if its arguments are invalid. S-SR-17: it discards the stored head.
  request.head = Head::invalid;
  if (!check_status(given.status) || !take_fields(given.headers, request.fields, kWho))
      [[unlikely]] {
    return nullptr;
  }
  request.without_body = request.is_head || status_without_body(given.status);
  request.head = Head::ready;
  PyObject* const write = Py_NewRef(request.write.get());
  request.status.reset(Py_NewRef(given.status));  // last: a replaced status may have a finalizer
  return write;
}

PyObject* write(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  if (!one_argument("write", nargsf, kwnames)) return nullptr;
  PyObject* const data = args[0];
  if (!PyBytes_Check(data)) {
    PyErr_Format(PyExc_TypeError, "write() takes bytes, not %.100s%s", Py_TYPE(data)->tp_name,
                 PyUnicode_Check(data) ? ": write data.encode('utf-8')" : "");
    return nullptr;
  }
  Request& request = request_of(self);
  const ExchangeGuard use{request};
  driver::Exchange* const exchange = use.exchange();
  if (exchange == nullptr) {
    use.raise("write");
    return nullptr;
  }
  if (PyBytes_GET_SIZE(data) == 0)
    Py_RETURN_NONE;  // S-WR-02: an error page can still replace the response
  if (request.head == Head::ready) request.send_head(*exchange, std::nullopt);
  if (request.head != Head::sent) {
    PyErr_SetString(PyExc_RuntimeError,
                    "write() was called after start_response had rejected its arguments");
    return nullptr;
  }
  if (request.without_body) Py_RETURN_NONE;
  driver::Sent sent = request.send_block(*exchange, data);
  if (sent == driver::Sent::ok || sent == driver::Sent::complete) {
    const driver::Sent delivered = exchange->deliver();
    if (delivered == driver::Sent::gone) sent = delivered;
  }
  switch (sent) {
    case driver::Sent::ok:
    case driver::Sent::complete:
      break;
    case driver::Sent::over_length:
    case driver::Sent::short_length:
      PyErr_SetString(
          PyExc_ValueError,
          "write() exceeded the Content-Length of the response; the bytes up to it were sent");
      return nullptr;
    case driver::Sent::gone:
      request.client_failed = true;
      raise_gone();
      return nullptr;
  }
  Py_RETURN_NONE;
}

}  // namespace iotax::bridge
