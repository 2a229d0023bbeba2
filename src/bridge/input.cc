// The Python type of wsgi.input: the signatures of io.BufferedReader over Body, and nothing that
// others servers' inputs lack (beyond 1.4).
#include "bridge/input.h"

#include <new>

#include "bridge/static_type.h"

namespace iotax::bridge {
namespace {

/// The optional size of read() and its like: absent, None and negative mean "no bound"; huge
/// numbers are cut. false: not a number.
bool size_argument(const char* what, PyObject* const* args, Py_ssize_t given, Py_ssize_t& size) {
  size = -1;
  if (given > 1) {
    PyErr_Format(PyExc_TypeError, "wsgi.input.%s takes at most one argument (%zd given)", what,
                 given);
    return false;
  }
  if (given == 0 || args[0] == Py_None) return true;
  if (!PyIndex_Check(args[0])) {
    PyErr_Format(PyExc_TypeError, "wsgi.input.%s takes an int or None, not %.100s", what,
                 Py_TYPE(args[0])->tp_name);
    return false;
  }
  size = PyNumber_AsSsize_t(args[0], nullptr);
  return size != -1 || PyErr_Occurred() == nullptr;
}

PyObject* read(PyObject* self, PyObject* const* args, Py_ssize_t given) {
  Py_ssize_t size = 0;
  return size_argument("read", args, given, size) ? body_of(self).read(size) : nullptr;
}

PyObject* read_line(PyObject* self, PyObject* const* args, Py_ssize_t given) {
  Py_ssize_t size = 0;
  return size_argument("readline", args, given, size) ? body_of(self).read_line(size) : nullptr;
}

/// The hint stops after the line that reaches it, as io.IOBase does; 0 is no hint.
PyObject* read_lines(PyObject* self, PyObject* const* args, Py_ssize_t given) {
  Py_ssize_t hint = 0;
  if (!size_argument("readlines", args, given, hint)) return nullptr;
  Ref lines = Ref::steal(PyList_New(0));
  Py_ssize_t bytes = 0;
  while (lines) {
    const Ref line = Ref::steal(body_of(self).read_line(-1));
    if (!line) return nullptr;
    const Py_ssize_t size = PyBytes_GET_SIZE(line.get());
    if (size == 0) break;
    if (PyList_Append(lines.get(), line.get()) != 0) return nullptr;
    bytes += size;
    if (hint > 0 && bytes >= hint) break;
  }
  return lines.release();
}

PyObject* read_into(PyObject* self, PyObject* buffer) {
  Py_buffer view;
  if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) != 0) return nullptr;
  const Py_ssize_t got = body_of(self).read_into(
      {static_cast<std::byte*>(view.buf), static_cast<std::size_t>(view.len)});
  PyBuffer_Release(&view);
  return got < 0 ? nullptr : PyLong_FromSsize_t(got);
}

PyObject* next_line(PyObject* self) {
  PyObject* const line = body_of(self).read_line(-1);
  if (line == nullptr || PyBytes_GET_SIZE(line) != 0) return line;
  Py_DECREF(line);
  return nullptr;
}

PyCFunction fast(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)) noexcept {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"read", fast(read), METH_FASTCALL, "read(size=-1) -> bytes"},
    {"readline", fast(read_line), METH_FASTCALL, "readline(size=-1) -> bytes"},
    {"readlines", fast(read_lines), METH_FASTCALL, "readlines(hint=-1) -> list of bytes"},
    {"readinto", read_into, METH_O, "readinto(buffer) -> int"},
    {nullptr, nullptr, 0, nullptr},
};

void free_input(PyObject* self) {
  body_of(self).~Body();
  PyObject_Free(self);
}

PyTypeObject input_type = [] {
  PyTypeObject type =
      static_type("iotax.input", "The body of a request.", sizeof(Input), free_input);
  type.tp_iter = PyObject_SelfIter;
  type.tp_iternext = next_line;
  type.tp_methods = methods;
  return type;
}();

}  // namespace

bool init_input_type() { return PyType_Ready(&input_type) == 0; }

Ref make_input(Request& request) noexcept {
  auto* const made = PyObject_New(Input, &input_type);
  if (made == nullptr) return {};
  new (&made->body) Body{request};
  return Ref::steal(reinterpret_cast<PyObject*>(made));
}

}  // namespace iotax::bridge
