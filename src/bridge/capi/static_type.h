// The common part of the bridge's static types: Python code cannot instantiate, change or subclass
// them.
#pragma once

#include <Python.h>

namespace iotax::bridge {

/// A type to complete and pass to PyType_Ready(). `name` and `doc` need static storage.
[[nodiscard]] inline PyTypeObject static_type(const char* name, const char* doc, Py_ssize_t size,
                                              destructor free) noexcept {
  const PyVarObject head[] = {PyVarObject_HEAD_INIT(nullptr, 0)};
  PyTypeObject type{};
  type.ob_base = head[0];
  type.tp_name = name;
  type.tp_doc = doc;
  type.tp_basicsize = size;
  type.tp_dealloc = free;
  type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE;
  return type;
}

}  // namespace iotax::bridge
