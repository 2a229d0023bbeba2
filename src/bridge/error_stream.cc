#include "bridge/error_stream.h"

#include <cstddef>
#include <new>
#include <string>
#include <string_view>

#include "bridge/static_type.h"
#include "bridge/text.h"

namespace iotax::bridge {
namespace {

constexpr std::size_t kLineBytesMax = 64 * 1024;  // a line that grows beyond is written in pieces

struct ErrorStream {
  PyObject_HEAD driver::Log* log;
  std::string pending;  // the beginning of a line
};

ErrorStream& stream_of(PyObject* self) noexcept { return *reinterpret_cast<ErrorStream*>(self); }

void emit(ErrorStream& stream, std::string_view lines) noexcept {
  if (stream.log != nullptr) stream.log->server(driver::Level::error, lines);
}

/// Whole lines at once, so that a traceback is not torn apart by another thread's lines.
void append(ErrorStream& stream, std::string_view text) {
  const std::size_t last = text.rfind('\n');
  if (last == std::string_view::npos) {
    stream.pending += text;
  } else {
    stream.pending += text.substr(0, last);
    const std::string lines = std::move(stream.pending);
    stream.pending.assign(text.substr(last + 1));
    emit(stream, lines);
  }
  if (stream.pending.size() > kLineBytesMax) {
    emit(stream, stream.pending);
    stream.pending.clear();
  }
}

PyObject* write(PyObject* self, PyObject* text) {
  if (!PyUnicode_Check(text)) {
    PyErr_Format(PyExc_TypeError, "wsgi.errors.write takes str, not %.100s: it is a text stream",
                 Py_TYPE(text)->tp_name);
    return nullptr;
  }
  append(stream_of(self), utf8(text));
  return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

PyObject* writelines(PyObject* self, PyObject* lines) {
  const Ref iterator = Ref::steal(PyObject_GetIter(lines));
  if (!iterator) return nullptr;
  while (const Ref line = Ref::steal(PyIter_Next(iterator.get()))) {
    const Ref written = Ref::steal(write(self, line.get()));
    if (!written) return nullptr;
  }
  if (PyErr_Occurred() != nullptr) return nullptr;
  Py_RETURN_NONE;
}

PyObject* flush(PyObject* self, PyObject* /*none*/) {
  flush_error_stream(self);
  Py_RETURN_NONE;
}

void free_stream(PyObject* self) {
  flush_error_stream(self);
  stream_of(self).~ErrorStream();
  PyObject_Free(self);
}

PyMethodDef methods[] = {
    {"write", write, METH_O, "write(text) -> int"},
    {"writelines", writelines, METH_O, "writelines(lines)"},
    {"flush", flush, METH_NOARGS, "flush(): an unfinished line becomes a line of the log"},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject stream_type = [] {
  PyTypeObject type = static_type("iotax.errors", "wsgi.errors: lines for the server log.",
                                  sizeof(ErrorStream), free_stream);
  type.tp_methods = methods;
  return type;
}();

}  // namespace

bool init_error_stream_type() { return PyType_Ready(&stream_type) == 0; }

Ref make_error_stream(driver::Log& log) noexcept {
  auto* const made = PyObject_New(ErrorStream, &stream_type);
  if (made == nullptr) return {};
  made->log = &log;
  new (&made->pending) std::string;
  return Ref::steal(reinterpret_cast<PyObject*>(made));
}

void flush_error_stream(PyObject* stream) noexcept {
  ErrorStream& it = stream_of(stream);
  if (it.pending.empty()) return;
  emit(it, it.pending);
  it.pending.clear();
}

void cut_off_error_stream(PyObject* stream) noexcept { stream_of(stream).log = nullptr; }

}  // namespace iotax::bridge
