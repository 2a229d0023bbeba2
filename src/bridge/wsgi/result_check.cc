#include "bridge/wsgi/result_check.h"

#include "bridge/capi/ref.h"

namespace iotax::bridge {
namespace {

constexpr const char* kAsgi =
    "it is async and looks like ASGI, but iotax serves WSGI: wrap it, e.g. with "
    "a2wsgi.ASGIMiddleware(app)";

bool is_async(PyObject* object) noexcept {
  const PyAsyncMethods* const async = Py_TYPE(object)->tp_as_async;
  return async != nullptr && (async->am_await != nullptr || async->am_aiter != nullptr);
}

bool is_iterable(PyObject* object) noexcept {
  return Py_TYPE(object)->tp_iter != nullptr || PySequence_Check(object) != 0;
}

/// inspect.iscoroutinefunction() of the object, or of its class's __call__.
bool is_async_callable(PyObject* application) {
  const Ref inspect = Ref::steal(PyImport_ImportModule("inspect"));
  const Ref own_call = Ref::steal(
      PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(application)), "__call__"));
  bool found = false;
  for (PyObject* const callable : {application, own_call.get()}) {
    if (!inspect || callable == nullptr) break;
    const Ref result =
        Ref::steal(PyObject_CallMethod(inspect.get(), "iscoroutinefunction", "O", callable));
    found = found || (result && PyObject_IsTrue(result.get()) == 1);
  }
  PyErr_Clear();
  return found;
}

}  // namespace

bool is_wrong_result(PyObject* result) noexcept {
  // An iterable may also be asynchronous: Django's StreamingHttpResponse is.
  return PyUnicode_Check(result) || PyBytes_Check(result) || PyByteArray_Check(result) ||
         !is_iterable(result);
}

void raise_wrong_result(PyObject* result) {
  if (PyUnicode_Check(result)) {
    PyErr_SetString(
        PyExc_TypeError,
        "the application returned str: return a list of bytes, e.g. [text.encode('utf-8')]");
  } else if (PyBytes_Check(result) || PyByteArray_Check(result)) {
    PyErr_Format(PyExc_TypeError,
                 "the application returned %.100s: put it into a list, e.g. [bytes(data)]",
                 Py_TYPE(result)->tp_name);
  } else if (is_async(result)) {
    PyErr_Format(PyExc_TypeError, "the application returned %.100s: %s", Py_TYPE(result)->tp_name,
                 kAsgi);
  } else {
    PyErr_Format(PyExc_TypeError,
                 "the application returned %.100s: a WSGI application returns an iterable of "
                 "bytes, e.g. [b'...']",
                 Py_TYPE(result)->tp_name);
  }
}

void raise_wrong_block(PyObject* block) {
  PyErr_Format(PyExc_TypeError, "the application's iterable gave %.100s: a block must be bytes%s",
               Py_TYPE(block)->tp_name,
               PyUnicode_Check(block) ? ", e.g. text.encode('utf-8')" : "");
}

void raise_no_head(Head head) {
  PyErr_SetString(
      PyExc_RuntimeError,
      head == Head::invalid
          ? "the application continued although start_response had rejected its arguments"
          : "the application did not call start_response before its first block or its end");
}

std::string hint_about_call(PyObject* application, PyObject* exception) {
  if (PyErr_GivenExceptionMatches(exception, PyExc_TypeError) == 0) return {};
  const Ref traceback = Ref::steal(PyException_GetTraceback(exception));
  if (traceback) return {};  // raised inside the application
  if (is_async_callable(application))
    return std::string{"The application is not callable: "} + kAsgi;
  return "The application is not callable as application(environ, start_response): if it is a "
         "factory, start with --factory";
}

}  // namespace iotax::bridge
