// Who may touch Python: the proof that the GIL is held, and the permanent thread states with which
// it is taken and left.
#pragma once

#include <Python.h>

#include <cassert>
#include <utility>
#include <vector>

namespace iotax::bridge {

/// Proof that the GIL is held. A parameter of functions that touch Python objects and are called by
/// others than Python.
class Gil {
 public:
  Gil(const Gil&) = delete;
  /// For code whose own contract says that its caller holds the GIL.
  [[nodiscard]] static Gil held() noexcept {
    assert(PyGILState_Check());
    return Gil{};
  }

 private:
  Gil() = default;
};

/// One PyThreadState per application thread, for its whole life. PyGILState_Ensure() and
/// py::gil_scoped_acquire would make and delete one per request, and with it every threading.local
/// value of the application.
class ThreadStates {
 public:
  explicit ThreadStates(unsigned threads) : states_(threads, nullptr) {}

  /// Takes the GIL; the thread has called leave() before. During finalisation of Python this does
  /// not return.
  void enter(unsigned thread) noexcept {
    PyEval_RestoreThread(std::exchange(states_[thread], nullptr));
  }
  void leave(unsigned thread) noexcept { states_[thread] = PyEval_SaveThread(); }

 private:
  std::vector<PyThreadState*> states_;  // non-null while that thread is without the GIL
};

}  // namespace iotax::bridge
