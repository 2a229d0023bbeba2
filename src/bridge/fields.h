// The header list of an answer as the application gave it: checked when it is given, kept until the
// head is sent. What may stand in a field is decided by core (response.h); here it is found in
// Python objects and explained to people.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/response.h"

namespace iotax::bridge {

/// Holds the tuples of the list, not the list: the application may change that at once (PEP 3333,
/// S-SR-09).
class Fields {
 public:
  Fields() = default;
  Fields(const Fields&) = delete;
  ~Fields() { clear(); }

  /// Takes the fields of `list`, a list of (str, str) tuples; blanks around values are trimmed.
  /// false: a Python exception is set that names the field and says what to write instead, and
  /// nothing is held. `who` begins its message. S-SR-08, -10, -13, S-CL-05.
  [[nodiscard]] bool take(PyObject* list, const char* who);
  void clear() noexcept;
  /// Views into the tuples; they end with clear() and take().
  [[nodiscard]] const core::AnswerFields& checked() const noexcept { return fields_; }

 private:
  [[nodiscard]] bool take_one(PyObject* item, const char* who);

  core::AnswerFields fields_;
  std::vector<PyObject*> tuples_;  // one strong reference per field
};

/// Sets a ValueError: `who`, the name of the field if there is one, and what core says about the
/// fault.
void raise_head_fault(const std::string& who, std::string_view name, core::HeadFault fault);

}  // namespace iotax::bridge
