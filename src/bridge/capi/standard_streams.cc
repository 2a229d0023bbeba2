#include "bridge/capi/standard_streams.h"

#include <Python.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "bridge/capi/ref.h"
#include "driver/os/sys.h"

namespace iotax::bridge {
namespace {

struct Flushing {
  driver::Sys sys;
  std::atomic<std::uint32_t> done{0};
};

void flush_all() noexcept {
  const PyGILState_STATE state = PyGILState_Ensure();
  for (const char* const name : {"stdout", "__stdout__", "stderr", "__stderr__"}) {
    const Ref stream = Ref::borrow(PySys_GetObject(name));
    if (!stream || stream.get() == Py_None) continue;
    const Ref flushed = Ref::steal(PyObject_CallMethod(stream.get(), "flush", nullptr));
    if (!flushed) PyErr_Clear();  // closed, or its reader has closed
  }
  PyGILState_Release(state);
  (void)std::fflush(stdout);
  (void)std::fflush(stderr);
}

}  // namespace

bool flush_standard_streams(core::Duration timeout) noexcept {
  Flushing* const shared =
      std::make_unique<Flushing>().release();  // the thread may outlive this call
  auto thread = shared->sys.start_thread("iotax-flush", [shared] {
    flush_all();
    shared->done.store(1, std::memory_order_release);
    shared->sys.futex_wake(shared->done, 1);
  });
  if (!thread) return false;
  thread->forget();
  const core::Instant deadline = shared->sys.now() + timeout;
  while (shared->done.load(std::memory_order_acquire) == 0) {
    const core::Duration left = deadline - shared->sys.now();
    if (left <= core::Duration::zero()) return false;
    shared->sys.futex_wait(shared->done, 0, left);
  }
  return true;
}

}  // namespace iotax::bridge
