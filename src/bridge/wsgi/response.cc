#include "bridge/wsgi/response.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "bridge/capi/exceptions.h"
#include "bridge/capi/interned.h"
#include "bridge/capi/py_error.h"
#include "bridge/wsgi/file_wrapper.h"
#include "bridge/wsgi/result_check.h"

namespace iotax::bridge {
namespace {

using driver::Exchange;
using driver::Level;
using driver::Sent;

constexpr int kInternalServerError = 500;
constexpr std::string_view kFailed = "The application failed to respond to this request.";

/// How the iteration of a result ended.
enum class Ended : std::uint8_t {
  complete,  // the response is complete
  at_end,    // complete, and the iterator is exhausted
  gone,      // the client has disconnected
  raised,    // a Python exception is set
};

[[gnu::cold]] void log_over_length(Request& request) {
  request.log(Level::warning, "The application sent more than its Content-Length in " +
                                  request.described() + "; the rest was discarded");
}

/// End the exchange after everything was given to it. Its views become invalid; the texts of the
/// request stay valid.
void finish(Request& request, Exchange& exchange) {
  if (exchange.finish() == Sent::short_length) [[unlikely]] {
    request.log(Level::error, "The application sent less than its Content-Length in " +
                                  request.described() + "; the response was truncated");
  }
}

// ---- an exact list or tuple: it cannot produce more blocks later, so its length is known and
// nothing is delivered in between

Py_ssize_t size_of(PyObject* blocks) noexcept {
  return PyList_CheckExact(blocks) ? PyList_GET_SIZE(blocks) : PyTuple_GET_SIZE(blocks);
}

PyObject* item_of(PyObject* blocks, Py_ssize_t i) noexcept {
  return PyList_CheckExact(blocks) ? PyList_GET_ITEM(blocks, i) : PyTuple_GET_ITEM(blocks, i);
}

/// The sum of the blocks; nothing if one is not bytes (S-UNI-04: detected before the head is sent).
std::optional<std::uint64_t> total_bytes(PyObject* blocks) noexcept {
  std::uint64_t total = 0;
  PyObject* const* const items = PySequence_Fast_ITEMS(blocks);
  for (PyObject* const block : std::span(items, static_cast<std::size_t>(size_of(blocks)))) {
    if (!PyBytes_Check(block)) return std::nullopt;
    total += static_cast<std::uint64_t>(PyBytes_GET_SIZE(block));
  }
  return total;
}

/// Beyond 5.6: no length is invented for a response without a body; that of HEAD is known if the
/// application returned blocks.
std::optional<std::uint64_t> known_length(const Request& request, std::uint64_t total) noexcept {
  if (request.without_body && !(request.is_head && total != 0)) return std::nullopt;
  return total;
}

void respond_with_blocks(Request& request, PyObject* blocks, std::uint64_t total) {
  Exchange& exchange = request.take_exchange();
  if (request.head == Head::ready) request.send_head(exchange, known_length(request, total));
  Sent sent = Sent::ok;
  if (!request.without_body) {
    // Get the size each time: another application thread may change the list while the GIL is
    // released.
    for (Py_ssize_t i = 0; i < size_of(blocks); ++i) {
      const Ref block = Ref::borrow(item_of(blocks, i));
      if (!PyBytes_Check(block.get()) || PyBytes_GET_SIZE(block.get()) == 0) continue;
      sent = request.send_block(exchange, block.get());
      if (sent != Sent::ok && sent != Sent::complete) break;
    }
  }
  if (sent == Sent::gone) [[unlikely]] {
    exchange.abort();
    return;
  }
  if (sent == Sent::over_length) [[unlikely]]
    log_over_length(request);
  finish(request, exchange);
}

// ---- any other iterable

Ended send_one(Request& request, PyObject* block, bool& more) {
  more = false;
  const ExchangeGuard use{request};
  Exchange& exchange = *use.exchange();
  if (request.head == Head::ready) request.send_head(exchange, std::nullopt);
  if (request.without_body)
    return Ended::complete;  // beyond 5.6: iterated up to here to call a lazy start_response
  switch (request.send_block(exchange, block)) {
    case Sent::ok:
      break;
    case Sent::complete:
    case Sent::short_length:
      return Ended::complete;  // S-CL-02: do not ask for further blocks
    case Sent::over_length:
      log_over_length(request);
      return Ended::complete;
    case Sent::gone:
      return Ended::gone;
  }
  if (exchange.deliver() == Sent::gone)
    return Ended::gone;  // S-BUF-03: before control returns to the application
  more = true;
  return Ended::complete;
}

Ref next_of(Request& request, PyObject* iterator) noexcept {
  request.enter_application();
  Ref block = Ref::steal(PyIter_Next(iterator));
  request.leave_application();
  return block;
}

Ended iterate(Request& request, PyObject* result) {
  if (is_wrong_result(result)) {
    raise_wrong_result(result);
    return Ended::raised;
  }
  const Ref iterator = Ref::steal(PyObject_GetIter(result));
  if (!iterator) return Ended::raised;
  while (const Ref block = next_of(request, iterator.get())) {
    if (!PyBytes_Check(block.get())) {
      raise_wrong_block(block.get());
      return Ended::raised;
    }
    if (PyBytes_GET_SIZE(block.get()) == 0) {  // S-BUF-04
      if (request.exchange()->gone()) return Ended::gone;
      continue;
    }
    if (request.head == Head::none || request.head == Head::invalid) {
      raise_no_head(request.head);
      return Ended::raised;
    }
    bool more = false;
    const Ended ended = send_one(request, block.get(), more);
    if (!more) return ended;
  }
  if (PyErr_Occurred() != nullptr) return Ended::raised;
  if (request.head == Head::none || request.head == Head::invalid) {
    raise_no_head(request.head);
    return Ended::raised;
  }
  if (request.head == Head::ready) {
    const ExchangeGuard use{request};
    if (request.head == Head::ready)  // write() in another thread may have sent it meanwhile
      request.send_head(*use.exchange(), known_length(request, 0));  // beyond 5.7
  }
  return Ended::at_end;
}

/// S-FW-07: after the application returned, and only for the wrapper itself. Returns nothing if the
/// wrapper must be iterated.
std::optional<Ended> send_file(Request& request, PyObject* wrapper) {
  if (request.head != Head::ready) return std::nullopt;
  std::optional<FilePart> part = file_part(wrapper);
  if (!part) return std::nullopt;
  const std::uint64_t length =
      std::min(part->length, request.fields.length().value_or(part->length));
  const ExchangeGuard use{request};
  // file_part() ran code of the application, and the guard may have waited: write() in it, or in
  // another thread, may have sent the head.
  if (request.head != Head::ready) return std::nullopt;
  request.send_head(*use.exchange(), request.without_body && !request.is_head
                                         ? std::nullopt
                                         : std::optional{part->length});
  if (request.without_body || length == 0) return Ended::complete;
  const Sent sent = use.exchange()->body_file(std::move(part->file), part->offset, length);
  return sent == Sent::gone ? Ended::gone : Ended::complete;
}

void log_exception(Request& request, std::string_view what, PyObject* exception,
                   std::string_view hint) {
  std::string text{what};
  text.append(" in ").append(request.described()).append("\n").append(formatted(exception));
  if (!hint.empty()) text.append("\n").append(hint);
  request.log(Level::error, text);
}

/// S-CLOSE-01, S-CLOSE-04: close() of the result itself, not of its iterator. It may take long, so
/// the output of `undelivered` is sent first (S-BUF-02).
void close_result(Request& request, PyObject* result, Exchange* undelivered) {
  if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) return;
  const Ref close = Ref::steal(PyObject_GetAttr(result, interned().close));
  if (close) {
    if (undelivered != nullptr) (void)undelivered->deliver();
    const Ref done = Ref::steal(PyObject_CallNoArgs(close.get()));
    if (done) return;
  } else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
    PyErr_Clear();
    return;
  }
  const Ref exception = take_exception();
  log_exception(request, "Error in close()", exception.get(), "");
}

/// Without its module.
std::string class_name(PyObject* exception) {
  const std::string_view name = Py_TYPE(exception)->tp_name;
  return std::string(name.substr(name.rfind('.') + 1));
}

/// S-EXC-01 to S-EXC-03. Not an application error if the application only let a client failure
/// pass: that client has its response or has disconnected. The result is closed before the
/// connection can be used again (S-CLOSE-02).
[[gnu::cold]] void respond_to_failure(Request& request, PyObject* application, PyObject* result,
                                      bool quiet_interrupt) {
  bool by_client = false;
  std::string name;
  {
    const Ref exception = take_exception();
    name = class_name(exception.get());
    by_client = request.client_failed && blames_client(exception.get());
    // The thread that watches deadlines has logged where the call was.
    const bool quiet =
        by_client ||
        (quiet_interrupt &&
         PyErr_GivenExceptionMatches(exception.get(), PyExc_KeyboardInterrupt) != 0) ||
        PyErr_GivenExceptionMatches(exception.get(), exceptions().request_timeout) != 0;
    if (!quiet) {
      const std::string hint =
          result == nullptr ? hint_about_call(application, exception.get()) : std::string{};
      log_exception(request, "Error", exception.get(), hint);
    }
  }
  if (result != nullptr) close_result(request, result, nullptr);
  const bool head_sent = request.head == Head::sent;
  Exchange& exchange = request.take_exchange();
  if (!by_client) exchange.failed_with(name);
  if (head_sent || by_client) {
    exchange.abort();
  } else {
    exchange.fail(kInternalServerError, kFailed);
  }
}

[[gnu::noinline]] void respond_by_iteration(Request& request, PyObject* application,
                                            PyObject* result, bool quiet_interrupt) {
  Ended ended = Ended::raised;
  bool as_file = false;
  if (result != nullptr) {
    const std::optional<Ended> sent =
        is_file_wrapper(result) ? send_file(request, result) : std::nullopt;
    as_file = sent.has_value();
    ended = as_file ? *sent : iterate(request, result);
  }
  if (ended == Ended::raised)
    return respond_to_failure(request, application, result, quiet_interrupt);
  Exchange& exchange = request.take_exchange();
  if (ended == Ended::gone) {
    exchange.abort();
  } else {
    finish(request, exchange);
  }
  // An exhausted generator has no code left to run; the leader sends a file after this call.
  const bool quick = as_file || (ended == Ended::at_end && PyGen_CheckExact(result));
  close_result(request, result, quick || ended == Ended::gone ? nullptr : &exchange);
}

}  // namespace

void respond(const Gil& /*gil*/, Request& request, PyObject* application, const Ref& result,
             bool quiet_interrupt) noexcept {
  PyObject* const returned = result.get();
  if (returned != nullptr && (PyList_CheckExact(returned) || PyTuple_CheckExact(returned)) &&
      (request.head == Head::ready || request.head == Head::sent)) [[likely]] {
    if (const auto total = total_bytes(returned)) [[likely]] {
      respond_with_blocks(request, returned, *total);
      return;
    }
  }
  respond_by_iteration(request, application, returned, quiet_interrupt);
}

}  // namespace iotax::bridge
