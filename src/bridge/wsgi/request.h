// The request that one application thread is running: what the Python objects of that request
// (start_response, write, wsgi.input and the rest) point to. It must not know how a response is
// iterated.
//
// A Request is the identity of a request. An application thread uses it again for its next request
// only if no Python object that points to it was kept; otherwise it is retired: it never gets an
// exchange again, and lives until the last of those objects and of the threads that wait in one of
// them is gone.
//
// Invariants:
//  1. `exchange()` is null unless the request runs. It becomes null before the response is ended,
//     so from then on every call of a kept object raises.
//  2. Only the holder of a Use calls the exchange: an application may read or write from a thread
//     of its own. Whoever has waited, or has run Python code, asks for the exchange again.
//  3. Everything here is touched under the GIL only.
#pragma once

#include <Python.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "bridge/capi/ref.h"
#include "core/response.h"
#include "driver/application.h"
#include "driver/log/log.h"

namespace iotax::bridge {

/// How far start_response has come (PEP 3333, "The start_response() Callable").
enum class Head : std::uint8_t {
  none,     // not called
  refused,  // called, and its arguments were refused: there is nothing to send
  ready,    // stored
  sent,     // given to the exchange
};

/// What the log says of a request, also after its exchange has ended and whatever the application
/// does to environ (S-ENV-02).
struct RequestTexts {
  Ref method;  // empty: GET
  Ref target;  // empty: "/"
  Ref id;
};

class Request;

/// A share in a Request, which lives as long as there is one. Copied and dropped under the GIL.
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
  /// `log` is used while a request runs only.
  [[nodiscard]] static RequestRef make(driver::Log& log);
  Request(const Request&) = delete;

  void begin(driver::Exchange& exchange) noexcept;
  /// Drops what the request held. Its exchange has been ended.
  void end() noexcept;
  /// A Python object that points here was kept: no request runs here any more. The Request that
  /// takes its place in the same application thread.
  [[nodiscard]] RequestRef retire();

  /// Null when no request runs here.
  [[nodiscard]] driver::Exchange* exchange() const noexcept { return exchange_; }
  /// Ends the request for all other threads: no further one gets the exchange. Waits until the one
  /// that uses it, if any, is out of its call, and hands it out for what ends the response.
  [[nodiscard]] driver::Exchange& take_exchange() noexcept;

  /// Gives the stored head to the exchange. `content_bytes` as in core::ResponseHead. The caller
  /// holds a Use, or is alone.
  void send_head(driver::Exchange& exchange, std::optional<std::uint64_t> content_bytes);
  /// A block of the answer; empty blocks send nothing. The head has been sent. The caller holds a
  /// Use, or is alone.
  driver::Sent send_block(driver::Exchange& exchange, PyObject* bytes);

  /// Around every call of the application and every next(): between the two the thread can be
  /// interrupted. What was armed and has not been raised is disarmed as the first act behind it, so
  /// that close(), our own code and the next request never see it.
  void enter_application() noexcept { in_application_ = true; }
  void leave_application() noexcept {
    in_application_ = false;
    if (armed_) [[unlikely]]
      disarm();
  }
  /// Raise iotax.RequestTimeout in the application, in the thread of this request. False: it is not
  /// in there.
  bool interrupt() noexcept;
  /// PyThread_get_thread_ident() of the thread that runs the requests; 0 before the first.
  [[nodiscard]] unsigned long thread_ident() const noexcept { return thread_ident_; }
  void runs_here() noexcept { thread_ident_ = PyThread_get_thread_ident(); }

  [[nodiscard]] driver::Log& log() const noexcept { return log_; }
  /// "GET /path (REQUEST-ID)" for the log.
  [[nodiscard]] std::string described() const;

  Head head = Head::none;
  bool is_head = false;  // the method is HEAD
  bool without_body =
      false;  // from `ready` on: HEAD, or a status that never has a body (RFC 9110 §6.4.1)
  bool client_failed = false;  // an exception that blames the client has been raised
  Ref status;                  // str, from `ready` on
  core::AnswerFields fields;   // from `ready` until `sent`
  Ref write;                   // the callable that start_response returns
  RequestTexts texts;

 private:
  friend class Use;
  friend class RequestRef;
  explicit Request(driver::Log& log) noexcept : log_(log) {}
  ~Request() = default;
  void wait_for_other_thread() noexcept;
  void disarm() noexcept;

  driver::Log& log_;
  driver::Exchange* exchange_ = nullptr;
  PyThreadState* user_ = nullptr;  // the thread that holds a Use
  unsigned shares_ = 0;
  bool in_application_ = false;
  bool armed_ = false;
  unsigned long thread_ident_ = 0;
  unsigned waiting_ = 0;
  std::mutex mutex_;  // of released_; never waited for with the GIL held for long: its holders do
                      // nothing else
  std::condition_variable released_cond_;
  std::uint64_t released_ = 0;
};

/// The right to call the exchange of a request, if it still runs. Making one leaves the GIL only if
/// another thread holds one; whoever makes it holds a share of the request for its whole life (the
/// Python object whose method this is does).
class Use {
 public:
  explicit Use(Request& request) noexcept : request_(request) {
    if (request.user_ != nullptr) [[unlikely]]
      wait();
    if (nested_) [[unlikely]]
      return;
    exchange_ = request.exchange_;  // not before: the request may have ended meanwhile
    request.user_ = PyThreadState_Get();
  }
  Use(const Use&) = delete;
  ~Use() {
    if (nested_) [[unlikely]]
      return;
    request_.user_ = nullptr;
    if (request_.waiting_ != 0) [[unlikely]]
      wake();
  }
  /// Null when the request has ended, perhaps while this thread waited. What is there stays valid
  /// for the life of the Use: who ends the request waits for it.
  [[nodiscard]] driver::Exchange* exchange() const noexcept { return exchange_; }
  /// exchange() is null: sets the RuntimeError that says why `what` cannot be used.
  void raise(const char* what) const;

 private:
  void wait() noexcept;
  void wake() noexcept;

  Request& request_;
  driver::Exchange* exchange_ = nullptr;
  bool nested_ = false;  // this thread holds another Use: a finaliser ran within a call
};

/// "start_response: ..." belongs to no running request: sets a RuntimeError that says so.
/// Beyond 5.11.
void raise_ended(const char* what);

}  // namespace iotax::bridge
