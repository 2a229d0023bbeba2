#include "bridge/capi/py_error.h"

#include "bridge/capi/text.h"

namespace iotax::bridge {
namespace {

PyObject* format_exception =
    nullptr;  // traceback.format_exception; imported once, kept for the life of the process

}  // namespace

Ref take_exception() noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  return Ref::steal(PyErr_GetRaisedException());
#else
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == nullptr) return {};
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(traceback);
  Py_DECREF(type);
  return Ref::steal(value);
#endif
}

void restore_exception(Ref exception) noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(exception.release());
#else
  PyObject* const value = exception.release();
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(value))), value,
                PyException_GetTraceback(value));
#endif
}

std::string formatted(PyObject* exception) {
  const Ref lines = Ref::steal(PyObject_CallOneArg(format_exception, exception));
  const Ref none = Ref::steal(lines ? PyUnicode_FromString("") : nullptr);
  const Ref text = Ref::steal(none ? PyUnicode_Join(none.get(), lines.get()) : nullptr);
  if (!text) {
    PyErr_Clear();
    return std::string{Py_TYPE(exception)->tp_name} + " (its traceback cannot be formatted)";
  }
  std::string out = utf8(text.get());
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool init_py_error() {
  if (format_exception != nullptr) return true;
  const Ref module = Ref::steal(PyImport_ImportModule("traceback"));
  if (module) format_exception = PyObject_GetAttrString(module.get(), "format_exception");
  return format_exception != nullptr;
}

}  // namespace iotax::bridge
