#include "bridge/fields.h"

#include <string>

#include "bridge/ref.h"
#include "bridge/text.h"

namespace iotax::bridge {
namespace {

std::string_view trimmed(std::string_view value) noexcept {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  return value;
}

/// The name as it may be shown: the str's repr, which escapes control characters.
std::string shown(PyObject* name) {
  const Ref repr = Ref::steal(PyObject_Repr(name));
  if (!repr) {
    PyErr_Clear();
    return "?";
  }
  return utf8(repr.get());
}

[[gnu::cold]] bool refuse_list(std::string_view who, PyObject* list) {
  PyErr_Format(PyExc_TypeError,
               "%.*s: the headers must be a list of (name, value) tuples, not %.100s: write "
               "[('Content-Type', 'text/plain')]",
               static_cast<int>(who.size()), who.data(), Py_TYPE(list)->tp_name);
  return false;
}

[[gnu::cold]] bool refuse_item(std::string_view who, PyObject* item) {
  if (PyTuple_Check(item)) {
    PyErr_Format(PyExc_TypeError,
                 "%.*s: a header must be a tuple (name, value), not one of %zd items",
                 static_cast<int>(who.size()), who.data(), PyTuple_GET_SIZE(item));
  } else {
    PyErr_Format(PyExc_TypeError, "%.*s: a header must be a tuple (name, value), not %.100s",
                 static_cast<int>(who.size()), who.data(), Py_TYPE(item)->tp_name);
  }
  return false;
}

[[gnu::cold]] bool refuse_type(std::string_view who, PyObject* name, PyObject* value) {
  const bool bad_name = !PyUnicode_Check(name);
  PyObject* const bad = bad_name ? name : value;
  const char* const instead =
      PyBytes_Check(bad) ? "decode it: .decode('latin-1')" : "convert it: str(...)";
  PyErr_Format(PyExc_TypeError, "%.*s: the %s of header %R must be str, not %.100s: %s",
               static_cast<int>(who.size()), who.data(), bad_name ? "name" : "value", name,
               Py_TYPE(bad)->tp_name, instead);
  return false;
}

[[gnu::cold]] bool refuse_latin1(std::string_view who, PyObject* name, bool bad_name) {
  PyErr_Format(PyExc_ValueError,
               "%.*s: the %s of header %R holds characters outside Latin-1: encode them, e.g. with "
               "urllib.parse.quote()",
               static_cast<int>(who.size()), who.data(), bad_name ? "name" : "value", name);
  return false;
}

}  // namespace

void raise_head_fault(std::string_view who, std::string_view name, core::HeadFault fault) {
  if (fault == core::HeadFault::hop_by_hop) {
    PyErr_Format(PyExc_ValueError,
                 "'%.*s' is a hop-by-hop header (PEP 3333); the server manages the connection: "
                 "remove it from the response's headers",
                 static_cast<int>(name.size()), name.data());
    return;
  }
  const std::string_view why = core::explain(fault);
  if (name.empty()) {
    PyErr_Format(PyExc_ValueError, "%.*s: %.*s", static_cast<int>(who.size()), who.data(),
                 static_cast<int>(why.size()), why.data());
  } else {
    PyErr_Format(PyExc_ValueError, "%.*s: header %.*s: %.*s", static_cast<int>(who.size()),
                 who.data(), static_cast<int>(name.size()), name.data(),
                 static_cast<int>(why.size()), why.data());
  }
}

void Fields::clear() noexcept {
  fields_.clear();
  while (!tuples_.empty()) {  // one by one: a subclass of tuple may run code of the application
                              // when it goes
    PyObject* const tuple = tuples_.back();
    tuples_.pop_back();
    Py_DECREF(tuple);
  }
}

bool Fields::take_one(PyObject* item, std::string_view who) {
  if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) [[unlikely]] {
    return refuse_item(who, item);
  }
  PyObject* const name = PyTuple_GET_ITEM(item, 0);
  PyObject* const value = PyTuple_GET_ITEM(item, 1);
  if (!PyUnicode_Check(name) || !PyUnicode_Check(value)) [[unlikely]] {
    return refuse_type(who, name, value);
  }
  core::Field field;
  if (!latin1_view(name, field.name)) return refuse_latin1(who, name, true);
  if (!latin1_view(value, field.value)) return refuse_latin1(who, name, false);
  field.value = trimmed(field.value);
  if (const core::HeadFault fault = core::check_field(field); fault != core::HeadFault::none)
      [[unlikely]] {
    raise_head_fault(
        who, fault == core::HeadFault::hop_by_hop ? std::string{field.name} : shown(name), fault);
    return false;
  }
  fields_.push_back(field);
  tuples_.push_back(Py_NewRef(item));
  return true;
}

bool Fields::take(PyObject* list, std::string_view who) {
  clear();
  if (!PyList_Check(list)) [[unlikely]] {
    return refuse_list(who, list);
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    if (!take_one(PyList_GET_ITEM(list, i), who)) {
      clear();
      return false;
    }
  }
  if (const core::HeadFault fault = core::check_fields(fields_); fault != core::HeadFault::none)
      [[unlikely]] {
    clear();
    raise_head_fault(who, "'Content-Length'", fault);
    return false;
  }
  return true;
}

}  // namespace iotax::bridge
