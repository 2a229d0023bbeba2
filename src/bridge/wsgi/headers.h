// The header list of a response: reads it from Python objects and explains errors. core decides
// what a field may contain (response_fields.h).
#pragma once

#include <Python.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/response.h"

namespace iotax::bridge {

/// Check the fields of `list`, a list of (str, str) tuples, and write them to `fields`, replacing
/// its contents. The application may change the list immediately afterwards (PEP 3333, S-SR-09).
/// false: a Python exception is set that names the field and the fix, and `fields` is empty. The
/// message starts with `who`. S-SR-08, -10, -13, S-CL-05.
[[nodiscard]] bool take_fields(PyObject* list, core::ResponseFields& fields, const char* who);

/// Set a ValueError: `who`, the name of the field if it has one, and core's explanation of the
/// fault.
void raise_head_fault(const std::string& who, std::string_view name, core::HeadFault fault);

}  // namespace iotax::bridge
