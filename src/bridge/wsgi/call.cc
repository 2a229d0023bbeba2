#include "bridge/wsgi/call.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "bridge/capi/exceptions.h"
#include "bridge/capi/interned.h"
#include "bridge/capi/own_files.h"
#include "bridge/capi/py_error.h"
#include "bridge/capi/standard_streams.h"
#include "bridge/capi/text.h"
#include "bridge/wsgi/callables.h"
#include "bridge/wsgi/error_stream.h"
#include "bridge/wsgi/file_wrapper.h"
#include "bridge/wsgi/input.h"
#include "bridge/wsgi/response.h"

namespace iotax::bridge {
namespace {

constexpr core::Duration kFlushAtEnd = std::chrono::seconds{1};
// Shorter: if a call holds the GIL, the full time passes.
constexpr core::Duration kFlushStreamsAtEnd = std::chrono::milliseconds{500};

bool has_content(const core::Head& head) noexcept {
  return head.content == core::Content::chunked ||
         (head.content == core::Content::length && head.content_bytes != 0);
}

/// Whether the application, or a thread inside a call of `object`, has a reference besides our
/// `ours`.
bool is_kept(const Ref& object, Py_ssize_t ours) noexcept {
  return Py_REFCNT(object.get()) != ours;
}

}  // namespace

bool init_bridge(const Gil& /*gil*/, PyObject* module) {
  return init_names() && init_exceptions(module) && init_bound_types() && init_input_type() &&
         init_error_stream_type() && init_file_wrapper_type() && init_py_error();
}

Caller::Caller(const Gil& /*gil*/, Ref application, unsigned threads, EnvironOptions options,
               driver::Log& log)
    : application_(std::move(application)),
      log_(log),
      log_makes_records_(log.makes_records()),
      options_(std::move(options)),
      states_(threads) {
  slots_.reserve(threads);  // each is small until its first request
  for (unsigned i = 0; i < threads; ++i)
    slots_.push_back(std::make_unique<Slot>(options_, tables_, log_));
  for (const auto& [index, key] : options_.logged) {
    PyObject* made = latin1(key);
    if (made != nullptr) {
      PyUnicode_InternInPlace(&made);  // as the keys in environ are, so that identity finds them
      logged_keys_.push_back({index, Ref::steal(made)});
    }
    PyErr_Clear();
  }
}

Caller::~Caller() {
  for (const std::unique_ptr<Slot>& slot : slots_) {
    slot->request->write.reset();  // it owns a share of the request
    if (slot->errors) cut_off_error_stream(slot->errors.get());
  }
}

[[gnu::cold]] bool Caller::prepare(const Gil& gil, Slot& slot) {
  Request& request = *slot.request;
  request.runs_here();
  if (!slot.start_response) slot.start_response = make_bound(BoundKind::start_response, request);
  if (!request.write) request.write = make_bound(BoundKind::write, request);
  if (!slot.early_hints) slot.early_hints = make_bound(BoundKind::early_hints, request);
  if (!slot.client_disconnected)
    slot.client_disconnected = make_bound(BoundKind::client_disconnected, request);
  if (!slot.input) slot.input = make_input(request);
  if (!slot.errors) slot.errors = make_error_stream(log_);
  if (!slot.start_response || !request.write || !slot.early_hints || !slot.client_disconnected ||
      !slot.input || !slot.errors) {
    return false;
  }
  const EnvironObjects objects{.input = slot.input.get(),
                               .errors = slot.errors.get(),
                               .early_hints = slot.early_hints.get(),
                               .client_disconnected = slot.client_disconnected.get()};
  slot.ready = slot.environ.prepare(gil, objects);
  return slot.ready;
}

void Caller::run(const Gil& gil, unsigned thread, Slot& slot, driver::Exchange& exchange) noexcept {
  Ref env;
  Ref result;
  Request& request = *slot.request;
  if (slot.ready || prepare(gil, slot)) [[likely]] {
    if (has_content(exchange.head())) body_of(slot.input.get()).begin(exchange);
    env = slot.environ.make(gil, exchange, request.texts);
  }
  if (env) [[likely]] {
    if (log_makes_records_) [[unlikely]]
      begin_error_lines(slot.errors.get(), request);
    if (!logged_keys_.empty()) [[unlikely]]
      request.collect(env.get(), logged_keys_);
    PyObject* args[] = {nullptr, env.get(), slot.start_response.get()};
    request.enter_application();
    result = Ref::steal(PyObject_Vectorcall(application_.get(), args + 1,
                                            2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
    request.leave_application();
  }
  const bool quiet_interrupt = thread == 0 && stopping_.load(std::memory_order_relaxed);
  respond(gil, request, application_.get(), result, quiet_interrupt);
  result.reset();  // before take_back() counts other references to the request's objects
  env.reset();
}

/// After env and result are released, any reference besides ours means that the application kept an
/// object. A thread that is in a call of one, or waits in it, has a reference too.
void Caller::take_back(Slot& slot) noexcept {
  if (!slot.ready) return;
  end_error_line(slot.errors.get());
  slot.request->end();
  body_of(slot.input.get()).end();
  constexpr Py_ssize_t kSlot = 1;
  constexpr Py_ssize_t kSlotAndTemplate = 2;
  const bool kept = is_kept(slot.start_response, kSlot) || is_kept(slot.request->write, kSlot) ||
                    is_kept(slot.early_hints, kSlotAndTemplate) ||
                    is_kept(slot.client_disconnected, kSlotAndTemplate) ||
                    is_kept(slot.input, kSlotAndTemplate);
  if (kept) [[unlikely]]
    retire(slot);
}

/// The objects of the ended request stay bound to it; the thread gets new ones.
[[gnu::cold]] void Caller::retire(Slot& slot) noexcept {
  slot.request = slot.request->retire();
  slot.start_response.reset();
  slot.early_hints.reset();
  slot.client_disconnected.reset();
  slot.input.reset();
  slot.ready = false;
}

void Caller::call(unsigned thread, driver::Exchange& exchange) noexcept {
  const Gil gil = Gil::held();
  Slot& slot = *slots_[thread];
  slot.request->begin(exchange);
  run(gil, thread, slot, exchange);
  take_back(slot);
}

bool Caller::trusts(const driver::Peer& peer) const noexcept {
  return options_.trusted.contains(peer);
}

bool Caller::may_send_proxy_header(const driver::Peer& peer) const noexcept {
  return options_.proxy_peers.contains(peer);
}

driver::ClientOrigin Caller::client_of(const driver::Peer& peer,
                                       std::span<const core::Field> fields) const noexcept {
  if (!trusts(peer)) return {};
  return client_origin(fields, options_.trusted, options_.believed);
}

bool Caller::run_signal_handlers() noexcept {
  if (PyErr_CheckSignals() == 0) return false;
  Ref raised = take_exception();
  if (!raised_) raised_ = std::move(raised);
  return true;
}

void Caller::end_process(int exit_code) noexcept {
  if (!own_process_.load(std::memory_order_relaxed)) return;
  (void)log_.flush(kFlushAtEnd);
  (void)flush_standard_streams(kFlushStreamsAtEnd);
  remove_own_files();
  ::_exit(exit_code);
}

bool Caller::interrupt(const Gil& /*gil*/, unsigned thread) noexcept {
  return slots_[thread]->request->interrupt();
}

unsigned long Caller::thread_ident(const Gil& /*gil*/, unsigned thread) const noexcept {
  return slots_[thread]->request->thread_ident();
}

Ref Caller::take_raised(const Gil& /*gil*/) noexcept { return std::move(raised_); }

}  // namespace iotax::bridge
