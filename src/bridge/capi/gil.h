// Access to Python: the proof that the GIL is held, and the permanent thread states that acquire
// and release it.
#pragma once

#include <Python.h>

#include <cassert>
#include <utility>
#include <vector>

namespace iotax::bridge {

/// Proof that the GIL is held. A parameter of functions that touch Python objects and are not
/// called by Python.
class Gil {
 public:
  Gil(const Gil&) = delete;
  /// For code whose contract says that its caller holds the GIL.
  [[nodiscard]] static Gil held() noexcept {
    assert(PyGILState_Check());
    return Gil{};
  }

 private:
  Gil() = default;
};

/// One PyThreadState per application thread, for its whole life. PyGILState_Ensure() and
/// py::gil_scoped_acquire would create and delete one per request, and with it every
/// threading.local value of the application.
class ThreadStates {
 public:
  explicit ThreadStates(unsigned threads) : states_(threads, nullptr) {}

  /// Acquire the GIL; the thread has called leave() before. Does not return while Python is being
  /// finalized.
  void enter(unsigned thread) noexcept {
    PyEval_RestoreThread(std::exchange(states_[thread], nullptr));
  }
  void leave(unsigned thread) noexcept { states_[thread] = PyEval_SaveThread(); }

 private:
  std::vector<PyThreadState*> states_;  // non-null while that thread does not hold the GIL
};

}  // namespace iotax::bridge
