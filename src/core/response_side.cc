// The response side of Connection: from the application's calls to output. response_framing.h
// decides framing, serialize.h writes text, transitions.h defines the order.
#include <algorithm>

#include "core/check.h"
#include "core/connection.h"
#include "core/connection_state.h"

namespace iotax::core {
namespace {

const ResponseFields no_fields;

}  // namespace

void Connection::reject(const ServerResponse& response) {
  State& s = *state_;
  IOTAX_CHECK(s.request == RequestState::rejected);
  if (!allowed(s.response, ResponseEvent::reject)) return;  // the application's response came first
  s.response = next(s.response, ResponseEvent::reject);
  write_server_response(s.out.copied(), response, Persist::close, s.is_head_request());
  s.end_request();
}

void Connection::inform(RequestId id, int status, const ResponseFields& fields) {
  State& s = *state_;
  if (!s.in_progress(id) || s.response != ResponseState::pending ||
      s.head.version == Version::http_1_0)
    return;
  s.response = next(s.response, ResponseEvent::inform);
  write_interim(s.out.copied(), status, fields);
}

void Connection::continue_100(RequestId id) {
  State& s = *state_;
  if (!s.in_progress(id) || !s.continue_owed || s.response == ResponseState::in_progress) return;
  s.out.add(kContinue);
  s.continue_owed = false;
}

int Connection::respond(RequestId id, const ResponseHead& head) {
  State& s = *state_;
  if (!s.in_progress(id)) return 0;
  const int status = code_of(head.status);
  const ResponseFields& fields = head.fields != nullptr ? *head.fields : no_fields;
  const bool head_request = s.is_head_request();
  const Decision decision = decide({status, head_request, fields.length(), head.content_bytes});
  s.framing = decision.framing;
  s.body_left = decision.length;
  if (decision.framing == Framing::undecided) {
    s.response = next(s.response, ResponseEvent::defer);
    s.deferred_head.clear();
    s.deferred_split = write_open_head(s.deferred_head, head, fields);
    return status;
  }
  s.response = next(s.response, ResponseEvent::head);
  write_head(s.out.copied(), head, fields, s.say_persistence(), decision);
  return status;
}

Outcome Connection::body(RequestId id, std::span<const std::byte> bytes) {
  State& s = *state_;
  if (!s.in_progress(id) || bytes.empty()) return Outcome::ok;
  if (s.response == ResponseState::head_deferred) s.open_deferred(false);
  s.response = next(s.response, ResponseEvent::data);
  if (s.framing == Framing::none) return Outcome::complete;

  Outcome outcome = Outcome::ok;
  if (s.framing == Framing::length) {
    if (bytes.size() > s.body_left) outcome = Outcome::over_length;
    if (bytes.size() == s.body_left) outcome = Outcome::complete;
    bytes =
        bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), s.body_left)));
    s.body_left -= bytes.size();
    if (bytes.empty()) return outcome;
  }
  s.body_given += bytes.size();
  Bytes& out = s.out.copied();
  if (s.framing == Framing::chunked) write_chunk_line(out, bytes.size());
  if (bytes.size() <= kCopyBytesMax) {
    out.append(text_of(bytes));
  } else {
    s.out.refer(bytes);
  }
  if (s.framing == Framing::chunked) out.append("\r\n");
  return outcome;
}

Outcome Connection::body_file(RequestId id, std::uint64_t length) {
  State& s = *state_;
  if (!s.in_progress(id)) return Outcome::ok;
  s.response = next(s.response, ResponseEvent::data);
  if (s.framing == Framing::none) return Outcome::complete;
  IOTAX_CHECK(s.framing == Framing::length);
  const std::uint64_t left = s.body_left;
  const std::uint64_t taken = std::min(length, left);
  s.body_left -= taken;
  s.body_given += taken;
  s.out.add_file(taken);
  if (length > left) return Outcome::over_length;
  return length == left ? Outcome::complete : Outcome::ok;
}

Outcome Connection::finish(RequestId id) {
  State& s = *state_;
  if (!s.in_progress(id)) return Outcome::ok;
  if (s.response == ResponseState::head_deferred) s.open_deferred(true);
  if (is_short()) {
    abort(id);
    return Outcome::short_length;
  }
  s.response = next(s.response, ResponseEvent::finish);
  if (s.framing == Framing::chunked) s.out.add(kLastChunk);
  s.advance();
  return Outcome::ok;
}

std::uint64_t Connection::body_given() const noexcept { return state_->body_given; }

bool Connection::is_short() const noexcept {
  return state_->framing == Framing::length && state_->body_left != 0;
}

void Connection::abort(RequestId id) {
  State& s = *state_;
  if (!s.in_progress(id)) return;
  const bool unmarked =
      s.response == ResponseState::in_progress && s.framing == Framing::until_close;
  s.response = next(s.response, unmarked ? ResponseEvent::reset : ResponseEvent::abort);
  s.end_request();
}

void Connection::respond_instead(RequestId id, const ServerResponse& response) {
  State& s = *state_;
  if (!s.in_progress(id)) return;
  s.response = next(s.response, ResponseEvent::server_response);
  if (response.close) s.request_persists = false;
  write_server_response(s.out.copied(), response, s.say_persistence(), s.is_head_request());
  s.advance();
}

std::uint64_t Connection::content_bytes(const ServerResponse& response) const noexcept {
  return state_->is_head_request() ? 0 : core::content_bytes(response);
}

// ---- internal

bool Connection::State::persists() const noexcept {
  return request_persists && !close_requested && request != RequestState::rejected &&
         drained_bytes <= limits.drain_bytes_max && (request != RequestState::body || drainable());
}

/// Whether an unread body may be discarded (http1-policy rules 34, 36).
bool Connection::State::drainable() const noexcept {
  if (continue_owed) return false;
  const std::uint64_t left = head.content == Content::length ? content_left : 0;
  return left <= limits.drain_bytes_max && drained_bytes <= limits.drain_bytes_max - left;
}

/// What the response head says about the connection. Once it says close, this stays, even if the
/// rest of the body arrives.
Persist Connection::State::say_persistence() noexcept {
  request_persists = persists();
  if (!request_persists) return Persist::close;
  return head.version == Version::http_1_0 ? Persist::said : Persist::silently;
}

/// The framing of a deferred head is now known: send the head.
void Connection::State::open_deferred(bool is_end) {
  response = next(response, ResponseEvent::head);
  const Decision decision = decide_late(head.version, is_end);
  framing = decision.framing;
  body_left = decision.length;
  if (framing == Framing::until_close) request_persists = false;
  Bytes& to = out.copied();
  to.append(deferred_head.text().substr(0, deferred_split));
  write_framing(to, say_persistence(), decision);
  to.append(deferred_head.text().substr(deferred_split));
}

/// Take the next step that follows from both half-machines.
void Connection::State::advance() noexcept {
  switch (next_step(request, response, persists())) {
    case NextStep::wait:
      break;
    case NextStep::discard:  // step() discards the body
      head.id = RequestId::none;
      break;
    case NextStep::next_request:
      next_request();
      break;
    case NextStep::close:
      response = next(response, ResponseEvent::close);
      end_request();
      break;
  }
}

void Connection::State::next_request() noexcept {
  request = next(request, RequestEvent::next);
  response = next(response, ResponseEvent::next);
  end_request();
  request_persists = true;
  since = now;
}

void Connection::State::end_request() noexcept {
  head.id = RequestId::none;
  framing = Framing::undecided;
  body_left = body_given = drained_bytes = 0;
  continue_owed = false;
  if (over()) {
    feed = {};
    deferred_head.release();
  }
}

}  // namespace iotax::core
