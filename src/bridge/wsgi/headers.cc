#include "bridge/wsgi/headers.h"

#include <string>

#include "bridge/capi/ref.h"
#include "bridge/capi/text.h"

namespace iotax::bridge {
namespace {

/// The name for messages: the str's repr, which escapes control characters.
std::string shown(PyObject* name) {
  const Ref repr = Ref::steal(PyObject_Repr(name));
  if (!repr) {
    PyErr_Clear();
    return "?";
  }
  return utf8(repr.get());
}

[[gnu::cold]] bool refuse_list(const char* who, PyObject* list) {
  PyErr_Format(PyExc_TypeError,
               "%s: the headers must be a list of (name, value) tuples, not %.100s: write "
               "[('Content-Type', 'text/plain')]",
               who, Py_TYPE(list)->tp_name);
  return false;
}

[[gnu::cold]] bool refuse_item(const char* who, PyObject* item) {
  if (PyTuple_Check(item)) {
    PyErr_Format(PyExc_TypeError,
                 "%s: a header must be a tuple (name, value), not one of %zd items", who,
                 PyTuple_GET_SIZE(item));
  } else {
    PyErr_Format(PyExc_TypeError, "%s: a header must be a tuple (name, value), not %.100s", who,
                 Py_TYPE(item)->tp_name);
  }
  return false;
}

[[gnu::cold]] bool refuse_type(const char* who, PyObject* name, PyObject* value) {
  const bool bad_name = !PyUnicode_Check(name);
  PyObject* const bad = bad_name ? name : value;
  const char* const instead =
      PyBytes_Check(bad) ? "decode it: .decode('latin-1')" : "convert it: str(...)";
  PyErr_Format(PyExc_TypeError, "%s: the %s of header %R must be str, not %.100s: %s", who,
               bad_name ? "name" : "value", name, Py_TYPE(bad)->tp_name, instead);
  return false;
}

[[gnu::cold]] bool refuse_latin1(const char* who, PyObject* name, bool bad_name) {
  PyErr_Format(
      PyExc_ValueError,
      "%s: the %s of header %R contains characters outside Latin-1: encode them, e.g. with "
      "urllib.parse.quote()",
      who, bad_name ? "name" : "value", name);
  return false;
}

/// Python code runs only where an exception is set. It may change the list, so each caller of a
/// refuse_...() function owns a reference to the item.
bool take_one(PyObject* item, core::ResponseFields& fields, const char* who) {
  if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) [[unlikely]] {
    const Ref held = Ref::borrow(item);
    return refuse_item(who, item);
  }
  PyObject* const name = PyTuple_GET_ITEM(item, 0);
  PyObject* const value = PyTuple_GET_ITEM(item, 1);
  if (!PyUnicode_Check(name) || !PyUnicode_Check(value)) [[unlikely]] {
    const Ref held = Ref::borrow(item);
    return refuse_type(who, name, value);
  }
  core::Field field;
  const bool good_name = latin1_view(name, field.name);
  if (!good_name || !latin1_view(value, field.value)) [[unlikely]] {
    const Ref held = Ref::borrow(item);
    return refuse_latin1(who, name, !good_name);
  }
  if (const core::HeadFault fault = fields.add(field); fault != core::HeadFault::none)
      [[unlikely]] {
    const Ref held = Ref::borrow(item);
    raise_head_fault(
        who, fault == core::HeadFault::hop_by_hop ? std::string{field.name} : shown(name), fault);
    return false;
  }
  return true;
}

}  // namespace

void raise_head_fault(const std::string& who, std::string_view name, core::HeadFault fault) {
  std::string text;
  if (fault == core::HeadFault::hop_by_hop) {
    text.append("'").append(name).append(
        "' is a hop-by-hop header (PEP 3333); the server manages the connection: "
        "remove it from the response's headers");
  } else {
    text = who + ": ";
    if (!name.empty()) text.append("header ").append(name).append(": ");
    text.append(core::explain(fault));
  }
  PyErr_SetString(PyExc_ValueError, text.c_str());
}

// The checks of the core are inlined completely, as the compiler did while nothing else added
// fields: 180 instructions per request.
[[gnu::flatten]] bool take_fields(PyObject* list, core::ResponseFields& fields, const char* who) {
  fields.clear();
  if (!PyList_Check(list)) [[unlikely]] {
    return refuse_list(who, list);
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    if (!take_one(PyList_GET_ITEM(list, i), fields, who)) {
      fields.clear();
      return false;
    }
  }
  return true;
}

}  // namespace iotax::bridge
