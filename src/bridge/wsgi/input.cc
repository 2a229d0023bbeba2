// The Python type of wsgi.input: a readable binary file with the methods of io.BufferedReader over
// Body. If the complete body is available before the call it is also seekable. It has no fileno(),
// and close() does nothing, so that a released wrapper does not end the input (beyond 1.4).
#include "bridge/wsgi/input.h"

#include <cstdio>
#include <new>
#include <span>

#include "bridge/capi/static_type.h"

namespace iotax::bridge {
namespace {

/// The optional size of read() and the like: absent, None and negative mean "no limit"; huge
/// numbers are clamped. false: not a number.
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

/// Stop after the line that reaches the hint, as io.IOBase does; 0 means no hint.
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

PyObject* read_1(PyObject* self, PyObject* const* args, Py_ssize_t given) {
  Py_ssize_t size = 0;
  return size_argument("read1", args, given, size) ? body_of(self).read_once(size) : nullptr;
}

using ReadInto = Py_ssize_t (Body::*)(std::span<std::byte>);

PyObject* read_into_buffer(PyObject* self, PyObject* buffer, ReadInto how) {
  Py_buffer view;
  if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) != 0) return nullptr;
  const Py_ssize_t got =
      (body_of(self).*how)({static_cast<std::byte*>(view.buf), static_cast<std::size_t>(view.len)});
  PyBuffer_Release(&view);
  return got < 0 ? nullptr : PyLong_FromSsize_t(got);
}

PyObject* read_into(PyObject* self, PyObject* buffer) {
  return read_into_buffer(self, buffer, &Body::read_into);
}

PyObject* read_into_1(PyObject* self, PyObject* buffer) {
  return read_into_buffer(self, buffer, &Body::read_once_into);
}

PyObject* next_line(PyObject* self) {
  PyObject* const line = body_of(self).read_line(-1);
  if (line == nullptr || PyBytes_GET_SIZE(line) != 0) return line;
  Py_DECREF(line);
  return nullptr;
}

// ---- file methods

PyObject* tell(PyObject* self, PyObject* /*none*/) { return body_of(self).tell(); }

PyObject* seek(PyObject* self, PyObject* args) {
  long long offset = 0;
  int whence = SEEK_SET;
  if (!PyArg_ParseTuple(args, "L|i:wsgi.input.seek", &offset, &whence)) return nullptr;
  return body_of(self).seek(offset, whence);
}

/// `value`, if the request is still running.
PyObject* bool_while_it_runs(PyObject* self, bool value) {
  if (!body_of(self).is_over()) return PyBool_FromLong(value ? 1 : 0);
  raise_ended("wsgi.input");
  return nullptr;
}

PyObject* is_readable(PyObject* self, PyObject* /*none*/) { return bool_while_it_runs(self, true); }

PyObject* is_seekable(PyObject* self, PyObject* /*none*/) {
  return bool_while_it_runs(self, body_of(self).seekable());
}

PyObject* is_false(PyObject* self, PyObject* /*none*/) { return bool_while_it_runs(self, false); }

/// Also works after the request: a wrapper that is released later calls it.
PyObject* nothing(PyObject* /*self*/, PyObject* /*args*/) { Py_RETURN_NONE; }

PyObject* enter(PyObject* self, PyObject* /*none*/) { return Py_NewRef(self); }

PyObject* is_closed(PyObject* self, void* /*closure*/) {
  return PyBool_FromLong(body_of(self).is_over() ? 1 : 0);
}

PyCFunction fast(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)) noexcept {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"read", fast(read), METH_FASTCALL, "read(size=-1) -> bytes"},
    {"readline", fast(read_line), METH_FASTCALL, "readline(size=-1) -> bytes"},
    {"readlines", fast(read_lines), METH_FASTCALL, "readlines(hint=-1) -> list of bytes"},
    {"readinto", read_into, METH_O, "readinto(buffer) -> int"},
    {"read1", fast(read_1), METH_FASTCALL,
     "read1(size=-1) -> bytes: those available without waiting"},
    {"readinto1", read_into_1, METH_O, "readinto1(buffer) -> int: bytes available without waiting"},
    {"tell", tell, METH_NOARGS, "tell() -> int"},
    {"seek", seek, METH_VARARGS, "seek(offset, whence=0) -> int"},
    {"readable", is_readable, METH_NOARGS, "readable() -> True"},
    {"seekable", is_seekable, METH_NOARGS,
     "seekable() -> bool: False if the body is read as it arrives"},
    {"writable", is_false, METH_NOARGS, "writable() -> False"},
    {"isatty", is_false, METH_NOARGS, "isatty() -> False"},
    {"flush", nothing, METH_NOARGS, "flush(): does nothing"},
    {"close", nothing, METH_NOARGS,
     "close(): does nothing; the body can be read until the request ends"},
    {"__enter__", enter, METH_NOARGS, nullptr},
    {"__exit__", nothing, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef attributes[] = {
    {"closed", is_closed, nullptr, "True when the request has ended.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
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
  type.tp_getset = attributes;
  return type;
}();

}  // namespace

bool init_input_type() {
  if (PyType_Ready(&input_type) != 0) return false;
  // Libraries detect binary files with isinstance(stream, io.BufferedIOBase).
  const Ref io = Ref::steal(PyImport_ImportModule("io"));
  const Ref base = Ref::steal(io ? PyObject_GetAttrString(io.get(), "BufferedIOBase") : nullptr);
  const Ref done =
      Ref::steal(base ? PyObject_CallMethod(base.get(), "register", "O", &input_type) : nullptr);
  return static_cast<bool>(done);
}

Ref make_input(Request& request) noexcept {
  auto* const made = PyObject_New(Input, &input_type);
  if (made == nullptr) return {};
  new (&made->body) Body{request};
  return Ref::steal(reinterpret_cast<PyObject*>(made));
}

}  // namespace iotax::bridge
