// The request that one application thread runs: the Python objects of a request (start_response,
// write, wsgi.input and others) point to it. It must not know how a response is iterated. A thread
// reuses a Request only if no Python object that points to it was kept. Otherwise it is retired: it
// never gets another exchange, and lives until the last of these objects, and of the threads that
// wait in one of them, releases it. Everything here is accessed with the GIL held.
#pragma once

#include <Python.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "bridge/capi/ref.h"
#include "core/response.h"
#include "driver/application.h"
#include "driver/log/log.h"
#include "driver/scoreboard/short_text.h"

namespace iotax::bridge {

/// Progress of start_response (PEP 3333, "The start_response() Callable").
enum class Head : std::uint8_t {
  none,     // not called
  invalid,  // called with invalid arguments: no head to send
  ready,    // stored
  sent,     // given to the exchange
};

/// The request's texts for the log, valid after its exchange has ended and independent of environ,
/// which the application may change (S-ENV-02).
struct RequestTexts {
  Ref method;  // empty: GET
  Ref target;  // empty: "/"
  Ref id;
};

/// A key of environ whose value the access log shows.
struct LoggedKey {
  std::size_t index;  // in driver::AccessFormat::collected()
  Ref key;
};

class Request;

/// Shared ownership of a Request. Copied and released with the GIL held.
class RequestRef {
 public:
  RequestRef() = default;
  explicit RequestRef(Request& request) noexcept;
  RequestRef(RequestRef&& other) noexcept : request_(std::exchange(other.request_, nullptr)) {}
  RequestRef& operator=(RequestRef&& other) noexcept {
    std::swap(request_, other.request_);
    return *this;
  }
  ~RequestRef();

  [[nodiscard]] Request& operator*() const noexcept { return *request_; }
  [[nodiscard]] Request* operator->() const noexcept { return request_; }
  [[nodiscard]] Request* get() const noexcept { return request_; }

 private:
  Request* request_ = nullptr;
};

class Request {
 public:
  /// `log` is used only while a request runs.
  [[nodiscard]] static RequestRef make(driver::Log& log);
  Request(const Request&) = delete;

  void begin(driver::Exchange& exchange) noexcept;
  /// Give the values of `keys` in `environ` to the access log when the response ends. Both are
  /// borrowed until end().
  void collect(PyObject* environ, std::span<const LoggedKey> keys) noexcept {
    environ_ = environ;
    logged_keys_ = keys;
  }
  /// The ids of the request, for the server log; valid until end().
  [[nodiscard]] driver::RequestIds ids() const noexcept;
  /// Release the objects of the request. Its exchange has already ended.
  void end() noexcept;
  /// A Python object that points to this Request was kept, so no further request runs in it.
  /// Returns the Request that replaces it in the same application thread.
  [[nodiscard]] RequestRef retire();

  /// Null unless a request runs: null before its response is ended, so that every call of a kept
  /// object raises from then on. Only the owner of an ExchangeGuard may call the exchange, since an
  /// application may read or write in its own threads; after waiting or running Python code, ask
  /// for it again.
  [[nodiscard]] driver::Exchange* exchange() const noexcept { return exchange_; }
  /// End the request for all other threads: they no longer get the exchange. Waits until a thread
  /// that uses it has left its call, then returns it to the code that ends the response.
  [[nodiscard]] driver::Exchange& take_exchange() noexcept;

  /// Give the stored head to the exchange. `content_bytes` as in core::ResponseHead. The caller has
  /// an ExchangeGuard, or no other thread can use the exchange.
  void send_head(driver::Exchange& exchange, std::optional<std::uint64_t> content_bytes);
  /// Send a block of the response; empty blocks send nothing. The head has been sent. The caller
  /// has an ExchangeGuard, or no other thread can use the exchange.
  driver::Sent send_block(driver::Exchange& exchange, PyObject* bytes);

  /// Call these around every call of the application and every next(): the thread can be
  /// interrupted between the two. leave_application() first disarms an interrupt that has not been
  /// raised, so that close(), our own code and the next request never see it.
  void enter_application() noexcept { in_application_ = true; }
  void leave_application() noexcept {
    in_application_ = false;
    if (armed_) [[unlikely]]
      disarm();
  }
  /// Raise iotax.RequestTimeout in the application, in the thread of this request. Returns false if
  /// the thread is not in the application.
  bool interrupt() noexcept;
  /// PyThread_get_thread_ident() of the thread that runs the requests; 0 before the first.
  [[nodiscard]] unsigned long thread_ident() const noexcept { return thread_ident_; }
  void runs_here() noexcept { thread_ident_ = PyThread_get_thread_ident(); }

  /// Write to the server log what is about this request.
  void log(driver::Level level, std::string_view text) const;
  /// "GET /path (REQUEST-ID)" for the log.
  [[nodiscard]] std::string described() const;

  Head head = Head::none;
  bool is_head = false;  // the method is HEAD
  bool without_body =
      false;  // from `ready` on: HEAD, or a status that never has a body (RFC 9110 §6.4.1)
  bool client_failed = false;   // an exception that blames the client has been raised
  Ref status;                   // str, from `ready` on
  core::ResponseFields fields;  // from `ready` until `sent`
  Ref write;                    // the callable that start_response returns
  RequestTexts texts;

 private:
  friend class ExchangeGuard;
  friend class RequestRef;
  explicit Request(driver::Log& log) noexcept : log_(log), names_traces_(log.makes_records()) {}
  ~Request() = default;
  void wait_for_other_thread() noexcept;
  void disarm() noexcept;
  void collect_environ(driver::Exchange& exchange) const noexcept;

  driver::Log& log_;
  const bool names_traces_;
  driver::TraceParent trace_;
  PyObject* environ_ = nullptr;
  std::span<const LoggedKey> logged_keys_;
  driver::Exchange* exchange_ = nullptr;
  PyThreadState* user_ = nullptr;  // the thread that holds an ExchangeGuard
  unsigned shares_ = 0;
  bool in_application_ = false;
  bool armed_ = false;
  unsigned long thread_ident_ = 0;
  unsigned waiting_ = 0;
  std::mutex mutex_;  // protects released_; its owners do nothing else while they have it,
                      // so a thread that holds the GIL waits for it only briefly
  std::condition_variable released_cond_;
  std::uint64_t released_ = 0;
};

/// The right to call the exchange of a request, if it still runs. The constructor releases the GIL
/// only if another thread has an ExchangeGuard. The caller must keep the request alive for the life
/// of the ExchangeGuard (the Python object whose method is running does).
class ExchangeGuard {
 public:
  explicit ExchangeGuard(Request& request) noexcept : request_(request) {
    if (request.user_ != nullptr) [[unlikely]]
      wait();
    if (nested_) [[unlikely]]
      return;
    exchange_ = request.exchange_;  // after wait(): the request may have ended meanwhile
    request.user_ = PyThreadState_Get();
  }
  ExchangeGuard(const ExchangeGuard&) = delete;
  ~ExchangeGuard() {
    if (nested_) [[unlikely]]
      return;
    request_.user_ = nullptr;
    if (request_.waiting_ != 0) [[unlikely]]
      wake();
  }
  /// Null if the request has ended, perhaps while this thread waited. Otherwise valid for the life
  /// of the ExchangeGuard: the thread that ends the request waits for it.
  [[nodiscard]] driver::Exchange* exchange() const noexcept { return exchange_; }
  /// exchange() is null: set a RuntimeError that says why `what` cannot be used.
  void raise(const char* what) const;

 private:
  void wait() noexcept;
  void wake() noexcept;

  Request& request_;
  driver::Exchange* exchange_ = nullptr;
  bool nested_ = false;  // this thread has another ExchangeGuard: a finalizer ran within a call
};

/// Set a RuntimeError that says that `what`, e.g. "start_response", does not belong to a running
/// request. Beyond 5.11.
void raise_ended(const char* what);

}  // namespace iotax::bridge
