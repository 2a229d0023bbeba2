#include "bridge/call.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "bridge/answer.h"
#include "bridge/bound.h"
#include "bridge/error_stream.h"
#include "bridge/exceptions.h"
#include "bridge/file_wrapper.h"
#include "bridge/input.h"
#include "bridge/names.h"
#include "bridge/py_error.h"

namespace iotax::bridge {
namespace {

constexpr core::Duration kFlushAtEnd = std::chrono::seconds{1};

bool has_content(const core::Head& head) noexcept {
  return head.content == core::Content::chunked ||
         (head.content == core::Content::length && head.content_bytes != 0);
}

/// Cuts `object` off from its request and lets it go, when somebody holds it beside the `ours`
/// references that we know of.
template <class CutOff>
bool let_go_if_kept(Ref& object, Py_ssize_t ours, CutOff cut_off) noexcept {
  if (Py_REFCNT(object.get()) == ours) [[likely]] {
    return false;
  }
  cut_off(object.get());
  object.reset();
  return true;
}

void cut_off_bound(PyObject* object) noexcept {
  reinterpret_cast<Bound*>(object)->request = nullptr;
}

void cut_off_input(PyObject* object) noexcept { body_of(object).cut_off(); }

}  // namespace

bool init_bridge(const Gil& /*gil*/, PyObject* module) {
  return init_names() && init_exceptions(module) && init_bound_types() && init_input_type() &&
         init_error_stream_type() && init_file_wrapper_type() && init_py_error();
}

Caller::Caller(const Gil& /*gil*/, Ref application, unsigned threads, EnvironOptions options,
               driver::Log& log)
    : application_(std::move(application)),
      log_(log),
      options_(std::move(options)),
      states_(threads) {
  slots_.reserve(threads);  // each is small until its first request
  for (unsigned i = 0; i < threads; ++i)
    slots_.push_back(std::make_unique<Slot>(options_, tables_, log_));
}

Caller::~Caller() {
  for (const std::unique_ptr<Slot>& slot : slots_) {
    for (const Ref* bound : {&slot->start_response, &slot->request.write, &slot->early_hints,
                             &slot->client_disconnected}) {
      if (*bound) cut_off_bound(bound->get());
    }
    if (slot->input) cut_off_input(slot->input.get());
    if (slot->errors) cut_off_error_stream(slot->errors.get());
  }
}

[[gnu::cold]] bool Caller::prepare(const Gil& gil, Slot& slot) {
  Request& request = slot.request;
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
  const EnvironObjects objects{.errors = slot.errors.get(),
                               .early_hints = slot.early_hints.get(),
                               .client_disconnected = slot.client_disconnected.get()};
  slot.ready = slot.environ.prepare(gil, objects);
  return slot.ready;
}

void Caller::run(const Gil& gil, unsigned thread, Slot& slot, driver::Exchange& exchange) noexcept {
  Ref env;
  Ref result;
  const bool content = has_content(exchange.head());
  if (slot.ready || prepare(gil, slot)) [[likely]] {
    if (content) body_of(slot.input.get()).begin(exchange);
    env = slot.environ.make(gil, exchange, content ? slot.input.get() : empty_input(),
                            slot.request.texts);
  }
  if (env) [[likely]] {
    PyObject* args[] = {nullptr, env.get(), slot.start_response.get()};
    slot.request.enter_application();
    result = Ref::steal(PyObject_Vectorcall(application_.get(), args + 1,
                                            2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
    slot.request.leave_application();
  }
  const bool quiet_interrupt = thread == 0 && stopping_.load(std::memory_order_relaxed);
  answer(gil, slot.request, application_.get(), result, quiet_interrupt);
  result.reset();  // before take_back() counts who else holds an object of the request
  env.reset();
}

/// After env and result are dropped, more references than our own mean that the application kept an
/// object.
void Caller::take_back(Slot& slot) noexcept {
  if (!slot.ready) return;
  slot.request.end();
  end_error_line(slot.errors.get());
  body_of(slot.input.get()).end();
  constexpr Py_ssize_t kSlot = 1;
  constexpr Py_ssize_t kSlotAndTemplate = 2;
  bool kept = let_go_if_kept(slot.start_response, kSlot, cut_off_bound);
  kept |= let_go_if_kept(slot.request.write, kSlot, cut_off_bound);
  kept |= let_go_if_kept(slot.early_hints, kSlotAndTemplate, cut_off_bound);
  kept |= let_go_if_kept(slot.client_disconnected, kSlotAndTemplate, cut_off_bound);
  kept |= let_go_if_kept(slot.input, kSlot, cut_off_input);
  slot.ready = !kept;
}

void Caller::call(unsigned thread, driver::Exchange& exchange) noexcept {
  const Gil gil = Gil::held();
  Slot& slot = *slots_[thread];
  slot.request.begin(exchange);
  run(gil, thread, slot, exchange);
  take_back(slot);
}

bool Caller::trusts(const driver::Peer& peer) const noexcept {
  return options_.trusted.contains(peer);
}

std::string Caller::client_of(const driver::Peer& peer,
                              std::span<const core::Field> fields) const noexcept {
  if (!options_.believed.for_ || !trusts(peer)) return {};
  return client_address(fields, options_.trusted);
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
  ::_exit(exit_code);
}

bool Caller::interrupt(const Gil& /*gil*/, unsigned thread) noexcept {
  return slots_[thread]->request.interrupt();
}

unsigned long Caller::thread_ident(const Gil& /*gil*/, unsigned thread) const noexcept {
  return slots_[thread]->request.thread_ident();
}

Ref Caller::take_raised(const Gil& /*gil*/) noexcept { return std::move(raised_); }

}  // namespace iotax::bridge
