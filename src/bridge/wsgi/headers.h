// The header list of an answer: taken out of Python objects, and what is wrong with it explained to
// people. What may stand in a field is decided by core (response_fields.h); here it is found in
// Python objects and explained to people.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/response.h"

namespace iotax::bridge {

/// Checks the fields of `list`, a list of (str, str) tuples, and writes them to `fields`, which
/// holds nothing else afterwards: the application may change the list at once (PEP 3333, S-SR-09).
/// false: a Python exception is set that names the field and says what to write instead, and
/// `fields` is empty. `who` begins its message. S-SR-08, -10, -13, S-CL-05.
[[nodiscard]] bool take_fields(PyObject* list, core::AnswerFields& fields, const char* who);

/// Sets a ValueError: `who`, the name of the field if there is one, and what core says about the
/// fault.
void raise_head_fault(const std::string& who, std::string_view name, core::HeadFault fault);

}  // namespace iotax::bridge
