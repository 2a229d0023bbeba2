// Owner of one reference to a Python object. It only releases the reference, which needs the GIL.
#pragma once

#include <Python.h>

#include <utility>

namespace iotax::bridge {

class Ref {
 public:
  Ref() = default;
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept {
    reset(std::exchange(other.object_, nullptr));
    return *this;
  }
  ~Ref() { Py_XDECREF(object_); }

  /// Take ownership of a new reference; null stays null.
  [[nodiscard]] static Ref steal(PyObject* object) noexcept { return Ref{object}; }
  /// Add a reference to a borrowed object; null stays null.
  [[nodiscard]] static Ref borrow(PyObject* object) noexcept { return Ref{Py_XNewRef(object)}; }

  [[nodiscard]] PyObject* get() const noexcept { return object_; }
  [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
  [[nodiscard]] PyObject* release() noexcept { return std::exchange(object_, nullptr); }
  /// Store `stolen` first: releasing the old object can run Python code that reads this Ref.
  void reset(PyObject* stolen = nullptr) noexcept {
    PyObject* const old = std::exchange(object_, stolen);
    Py_XDECREF(old);
  }

 private:
  explicit Ref(PyObject* object) noexcept : object_(object) {}
  PyObject* object_ = nullptr;
};

}  // namespace iotax::bridge
