#include "bridge/wsgi/request.h"

#include <memory>
#include <span>
#include <string_view>

#include "bridge/capi/exceptions.h"
#include "bridge/capi/text.h"
#include "core/check.h"
#include "core/text.h"
#include "core/trace_context.h"

namespace iotax::bridge {

RequestRef::RequestRef(Request& request) noexcept : request_(&request) { ++request.shares_; }

RequestRef::~RequestRef() {
  if (request_ != nullptr && --request_->shares_ == 0) delete request_;
}

RequestRef Request::make(driver::Log& log) { return RequestRef{*new Request{log}}; }

void Request::begin(driver::Exchange& exchange) noexcept {
  // No thread is in a call of an object that was not kept.
  IOTAX_CHECK(exchange_ == nullptr && user_ == nullptr && waiting_ == 0);
  exchange_ = &exchange;
  head = Head::none;
  is_head = core::same_text(exchange.head().method, "HEAD");
  without_body = is_head;
  client_failed = false;
  if (names_traces_) [[unlikely]]
    trace_.assign(core::trace_parent_of(exchange.head().fields));
}

void Request::end() noexcept {
  status.reset();
  texts = {};
  environ_ = nullptr;
}

RequestRef Request::retire() {
  write.reset();  // it owns a share of this request
  RequestRef next = make(log_);
  next->thread_ident_ = thread_ident_;
  return next;
}

driver::Exchange& Request::take_exchange() noexcept {
  driver::Exchange& exchange = *std::exchange(exchange_, nullptr);
  while (user_ != nullptr) [[unlikely]] wait_for_other_thread();
  if (environ_ != nullptr) [[unlikely]]
    collect_environ(exchange);
  return exchange;
}

/// Texts in environ are bytes in Latin-1 (PEP 3333), unless middleware has put others there.
[[gnu::cold]] void Request::collect_environ(driver::Exchange& exchange) const noexcept {
  for (const LoggedKey& one : logged_keys_) {
    PyObject* const value = PyDict_GetItemWithError(environ_, one.key.get());
    if (value == nullptr) {
      PyErr_Clear();
    } else if (std::string_view bytes; PyUnicode_Check(value) && latin1_view(value, bytes)) {
      exchange.collect(one.index, bytes);
    } else if (PyUnicode_Check(value)) {
      exchange.collect(one.index, utf8(value));
    }
  }
}

driver::RequestIds Request::ids() const noexcept {
  std::string_view id;
  if (!texts.id || !latin1_view(texts.id.get(), id)) return {};
  return {id, trace_.view()};
}

void Request::log(driver::Level level, std::string_view text) const {
  log_.server(level, text, ids());
}

void Request::send_head(driver::Exchange& exchange, std::optional<std::uint64_t> content_bytes) {
  core::ResponseHead out;
  if (!latin1_view(status.get(), out.status)) out.status = "500";  // start_response has checked it
  out.fields = &fields;
  out.content_bytes = content_bytes;
  head = Head::sent;
  exchange.respond(out);
}

driver::Sent Request::send_block(driver::Exchange& exchange, PyObject* bytes) {
  const std::span<const char> block{PyBytes_AS_STRING(bytes),
                                    static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))};
  return exchange.body(std::as_bytes(block));
}

std::string Request::described() const {
  if (!texts.id) return "request";
  return (texts.method ? utf8(texts.method.get()) : "GET") + ' ' +
         (texts.target ? utf8(texts.target.get()) : "/") + " (" + utf8(texts.id.get()) + ')';
}

bool Request::interrupt() noexcept {
  if (!in_application_) return false;
  armed_ = PyThreadState_SetAsyncExc(thread_ident_, exceptions().request_timeout) == 1;
  return armed_;
}

[[gnu::cold]] void Request::disarm() noexcept {
  armed_ = false;
  (void)PyThreadState_SetAsyncExc(thread_ident_, nullptr);
}

void Request::wait_for_other_thread() noexcept {
  std::unique_lock lock{mutex_};
  const std::uint64_t seen = released_;
  ++waiting_;
  PyThreadState* const state = PyEval_SaveThread();
  released_cond_.wait(lock, [&] { return released_ != seen; });
  lock.unlock();  // before waiting for the GIL: the thread that holds it may want the mutex
  PyEval_RestoreThread(state);
  --waiting_;
}

[[gnu::cold]] void ExchangeGuard::wait() noexcept {
  PyThreadState* const self = PyThreadState_Get();
  nested_ = request_.user_ == self;
  while (!nested_ && request_.user_ != nullptr) request_.wait_for_other_thread();
}

void ExchangeGuard::raise(const char* what) const {
  if (!nested_) return raise_ended(what);
  PyErr_Format(PyExc_RuntimeError, "%s was used within another call for the same request", what);
}

[[gnu::cold]] void ExchangeGuard::wake() noexcept {
  {
    const std::lock_guard lock{request_.mutex_};
    ++request_.released_;
  }
  request_.released_cond_.notify_all();
}

void raise_ended(const char* what) {
  PyErr_Format(PyExc_RuntimeError, "%s was used after its request had ended", what);
}

}  // namespace iotax::bridge
