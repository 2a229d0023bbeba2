// The names of states and events, and the abort when an event has no row.
#include "core/transitions.h"

#include <cstdio>

#include "core/check.h"

namespace iotax::core {

std::string_view name_of(RequestState state) noexcept {
  switch (state) {
    case RequestState::idle:
      return "idle";
    case RequestState::head:
      return "head";
    case RequestState::body:
      return "body";
    case RequestState::complete:
      return "complete";
    case RequestState::half_closed:
      return "half_closed";
    case RequestState::rejected:
      return "rejected";
  }
  return "";
}

std::string_view name_of(RequestEvent event) noexcept {
  switch (event) {
    case RequestEvent::begin:
      return "begin";
    case RequestEvent::head:
      return "head";
    case RequestEvent::data:
      return "data";
    case RequestEvent::end:
      return "end";
    case RequestEvent::next:
      return "next";
    case RequestEvent::eof:
      return "eof";
    case RequestEvent::fault:
      return "fault";
  }
  return "";
}

std::string_view name_of(ResponseState state) noexcept {
  switch (state) {
    case ResponseState::idle:
      return "idle";
    case ResponseState::pending:
      return "pending";
    case ResponseState::head_deferred:
      return "head_deferred";
    case ResponseState::in_progress:
      return "in_progress";
    case ResponseState::complete:
      return "complete";
    case ResponseState::final:
      return "final";
    case ResponseState::truncated:
      return "truncated";
  }
  return "";
}

std::string_view name_of(ResponseEvent event) noexcept {
  switch (event) {
    case ResponseEvent::take:
      return "take";
    case ResponseEvent::inform:
      return "inform";
    case ResponseEvent::defer:
      return "defer";
    case ResponseEvent::head:
      return "head";
    case ResponseEvent::data:
      return "data";
    case ResponseEvent::finish:
      return "finish";
    case ResponseEvent::server_response:
      return "server_response";
    case ResponseEvent::reject:
      return "reject";
    case ResponseEvent::abort:
      return "abort";
    case ResponseEvent::reset:
      return "reset";
    case ResponseEvent::next:
      return "next";
    case ResponseEvent::close:
      return "close";
  }
  return "";
}

namespace {

[[noreturn]] void fail(std::string_view half, std::string_view from,
                       std::string_view input) noexcept {
  char what[96];
  std::snprintf(what, sizeof what, "%.*s: no row for %.*s in state %.*s",
                static_cast<int>(half.size()), half.data(), static_cast<int>(input.size()),
                input.data(), static_cast<int>(from.size()), from.data());
  check_failed(what, __FILE__, __LINE__);
}

}  // namespace

void refuse_order(RequestState from, RequestEvent event) noexcept {
  fail("request", name_of(from), name_of(event));
}
void refuse_order(ResponseState from, ResponseEvent event) noexcept {
  fail("response", name_of(from), name_of(event));
}

}  // namespace iotax::core
