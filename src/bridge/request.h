// The request that one application thread is running: what the Python objects of that request
// (start_response, write, wsgi.input and the rest) point to. One per application thread, used again
// for each request. It must not know how an answer is iterated.
//
// Invariants:
//  1. `exchange` is null unless the request runs. It becomes null before the last call to the
//  exchange begins, so that another
//     thread that kept an object cannot reach it.
//  2. Only the holder of a Use calls the exchange: an application may read or write from a thread
//  of its own.
//  3. Everything here is touched under the GIL only.
#pragma once

#include <Python.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "bridge/ref.h"
#include "core/response.h"
#include "driver/application.h"
#include "driver/log.h"

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

class Request {
 public:
  explicit Request(driver::Log& log) noexcept : log_(log) {}
  Request(const Request&) = delete;

  void begin(driver::Exchange& exchange) noexcept;
  /// Drops what the request held. Its exchange has been ended.
  void end() noexcept;

  /// Null when no request runs here.
  [[nodiscard]] driver::Exchange* exchange() const noexcept { return exchange_; }
  /// Ends invariant 1: waits until no other thread uses the exchange, and hands it out for its last
  /// call.
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
  void wait_for_other_thread() noexcept;
  void disarm() noexcept;

  driver::Log& log_;
  driver::Exchange* exchange_ = nullptr;
  bool in_use_ = false;
  bool in_application_ = false;
  bool armed_ = false;
  unsigned long thread_ident_ = 0;
  unsigned waiting_ = 0;
  std::mutex mutex_;  // of released_; never waited for with the GIL held for long: its holders do
                      // nothing else
  std::condition_variable released_cond_;
  std::uint64_t released_ = 0;
};

/// The right to call the exchange of a request. Making one leaves the GIL only if another thread
/// holds one.
class Use {
 public:
  explicit Use(Request& request) noexcept : request_(request) {
    while (request_.in_use_) request_.wait_for_other_thread();
    request_.in_use_ = true;
  }
  Use(const Use&) = delete;
  ~Use() {
    request_.in_use_ = false;
    if (request_.waiting_ != 0) wake();
  }
  /// Null when the request ended, perhaps while this thread waited.
  [[nodiscard]] driver::Exchange* exchange() const noexcept { return request_.exchange_; }

 private:
  void wake() noexcept;
  Request& request_;
};

/// "start_response: ..." belongs to no running request: sets a RuntimeError that says so.
/// Beyond 5.11.
void raise_ended(const char* what);

}  // namespace iotax::bridge
