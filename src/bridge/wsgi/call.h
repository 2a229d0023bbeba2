// Implements the driver's Application in Python: runs one request in one thread, in the thread's
// own contextvars context. A copied context per request made frameworks that keep per-thread state
// in context variables (Django: cache clients) reconnect for each request. Decides which objects a
// request gets and what happens to those that an application keeps.
#pragma once

#include <Python.h>

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bridge/capi/gil.h"
#include "bridge/capi/ref.h"
#include "bridge/wsgi/environ.h"
#include "bridge/wsgi/request.h"
#include "driver/application.h"
#include "driver/log/log.h"

namespace iotax::bridge {

/// Initialize the types and tables of the bridge, once per process. false: a Python exception is
/// set.
[[nodiscard]] bool init_bridge(const Gil& gil, PyObject* module);

class Caller final : public driver::Application {
 public:
  /// `application` is called for each request. `log` is borrowed and must outlive the object.
  /// Constructed and destroyed with the GIL held.
  Caller(const Gil& gil, Ref application, unsigned threads, EnvironOptions options,
         driver::Log& log);
  ~Caller() override;

  void enter(unsigned thread) noexcept override { states_.enter(thread); }
  void leave(unsigned thread) noexcept override { states_.leave(thread); }
  void call(unsigned thread, driver::Exchange& exchange) noexcept override;
  [[nodiscard]] bool trusts(const driver::Peer& peer) const noexcept override;
  [[nodiscard]] bool may_send_proxy_header(const driver::Peer& peer) const noexcept override;
  [[nodiscard]] driver::ClientOrigin client_of(
      const driver::Peer& peer, std::span<const core::Field> fields) const noexcept override;
  [[nodiscard]] bool run_signal_handlers() noexcept override;

  /// Only after own_process(). Does not acquire the GIL, because a call that does not return may
  /// hold it.
  void end_process(int exit_code) noexcept override;

  /// The process belongs to the server: when stopping takes too long, end_process() ends it.
  /// Without this call end_process() does nothing.
  void own_process() noexcept { own_process_.store(true, std::memory_order_relaxed); }
  /// The server is stopping: a KeyboardInterrupt in application thread 0 is not an application
  /// error. Async-signal-safe.
  void stopping() noexcept { stopping_.store(true, std::memory_order_relaxed); }
  /// Raise iotax.RequestTimeout in the application code that `thread` runs. Returns false if it
  /// runs none that may be interrupted.
  bool interrupt(const Gil& gil, unsigned thread) noexcept;
  /// As in sys._current_frames(); 0 before the first request.
  [[nodiscard]] unsigned long thread_ident(const Gil& gil, unsigned thread) const noexcept;
  /// The exception raised by the first signal handler that raised one; empty if none did.
  [[nodiscard]] Ref take_raised(const Gil& gil) noexcept;

 private:
  /// The objects that one application thread uses for all its requests.
  struct Slot {
    Slot(const EnvironOptions& options, EnvironTables& tables, driver::Log& log)
        : request(Request::make(log)), environ(options, tables, log) {}
    RequestRef request;
    Environ environ;
    Ref start_response;
    Ref input;
    Ref errors;
    Ref early_hints;
    Ref client_disconnected;
    bool ready = false;
  };

  [[nodiscard]] bool prepare(const Gil& gil, Slot& slot);
  void run(const Gil& gil, unsigned thread, Slot& slot, driver::Exchange& exchange) noexcept;
  void take_back(Slot& slot) noexcept;
  void retire(Slot& slot) noexcept;

  Ref application_;
  driver::Log& log_;
  const bool log_makes_records_;
  EnvironOptions options_;
  EnvironTables tables_;
  ThreadStates states_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<LoggedKey> logged_keys_;
  Ref raised_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> own_process_{false};
};

}  // namespace iotax::bridge
