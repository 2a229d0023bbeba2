#include "bridge/wsgi/error_stream.h"

#include <cstddef>
#include <new>
#include <string>
#include <string_view>

#include "bridge/capi/static_type.h"
#include "bridge/capi/text.h"

namespace iotax::bridge {
namespace {

// Most bytes of an unfinished line that are buffered; more for records, each of which ends its
// line.
constexpr std::size_t kKeptBytesMax = std::size_t{64} * 1024;
constexpr std::size_t kRecordKeptBytesMax = std::size_t{1024} * 1024;

struct ErrorStream {
  PyObject_HEAD driver::Log* log;
  const Request* request;  // that runs; null: none, or its ids are not logged
  std::string pending;     // the beginning of a line
  bool within_line;        // the log has an unfinished line of this stream
};

ErrorStream& stream_of(PyObject* self) noexcept { return *reinterpret_cast<ErrorStream*>(self); }

void emit(ErrorStream& stream, std::string_view text, bool last) noexcept {
  const bool by_request =
      stream.request != nullptr && stream.request->thread_ident() == PyThread_get_thread_ident();
  const driver::RequestIds about = by_request ? stream.request->ids() : driver::RequestIds{};
  if (stream.log != nullptr) stream.log->application(&stream, text, last, about);
  stream.within_line = !last && !text.ends_with('\n');
}

bool makes_records(const ErrorStream& stream) noexcept {
  return stream.log != nullptr && stream.log->makes_records();
}

/// Write the pending text to the log as it is.
void emit_pending(ErrorStream& stream) noexcept {
  if (stream.pending.empty()) return;
  emit(stream, stream.pending, false);
  stream.pending.clear();
}

/// Write complete lines together, so that other threads' lines do not split a traceback.
void append(ErrorStream& stream, std::string_view text) {
  const std::size_t behind_lines = text.rfind('\n') + 1;  // 0: no line ends in it
  if (behind_lines != 0) {
    if (stream.pending.empty()) {
      emit(stream, text.substr(0, behind_lines), false);
    } else {
      stream.pending += text.substr(0, behind_lines);
      emit_pending(stream);
    }
  }
  stream.pending += text.substr(behind_lines);
  const std::size_t most = makes_records(stream) ? kRecordKeptBytesMax : kKeptBytesMax;
  if (stream.pending.size() > most) emit_pending(stream);
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
  ErrorStream& stream = stream_of(self);
  if (!makes_records(stream)) emit_pending(stream);  // a record has whole lines
  Py_RETURN_NONE;
}

void free_stream(PyObject* self) {
  end_error_line(self);
  stream_of(self).~ErrorStream();
  PyObject_Free(self);
}

PyMethodDef methods[] = {
    {"write", write, METH_O, "write(text) -> int"},
    {"writelines", writelines, METH_O, "writelines(lines)"},
    {"flush", flush, METH_NOARGS, "flush(): also write an unfinished line to the log"},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject stream_type = [] {
  PyTypeObject type = static_type(
      "iotax.errors", "wsgi.errors: text for the server log, which is written there as it is.",
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
  made->request = nullptr;
  made->within_line = false;
  new (&made->pending) std::string;
  return Ref::steal(reinterpret_cast<PyObject*>(made));
}

void begin_error_lines(PyObject* stream, const Request& request) noexcept {
  stream_of(stream).request = &request;
}

void end_error_line(PyObject* stream) noexcept {
  ErrorStream& it = stream_of(stream);
  if (!it.pending.empty() || it.within_line) {
    emit(it, it.pending, true);
    it.pending.clear();
  }
  it.request = nullptr;
}

void cut_off_error_stream(PyObject* stream) noexcept { stream_of(stream).log = nullptr; }

}  // namespace iotax::bridge
