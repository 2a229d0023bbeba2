// The answer side of Connection: from what the application's side hands in to output. Framing is
// decided in framing.h, text is written in serialize.h, order is asked of transitions.h.
#include <algorithm>

#include "core/check.h"
#include "core/connection.h"
#include "core/connection_state.h"

namespace iotax::core {
namespace {

const AnswerFields no_fields;

}  // namespace

void Connection::refuse(const ServerAnswer& answer) {
  State& s = *state_;
  IOTAX_CHECK(s.peer == Peer::refused);
  if (!allowed(s.us, Did::refuse)) return;  // the application's own answer came first
  s.us = next(s.us, Did::refuse);
  write_answer(s.out.copied(), answer, Persist::close, s.is_head_request());
  s.end_request();
}

void Connection::inform(RequestId id, int status, const AnswerFields& fields) {
  State& s = *state_;
  if (!s.in_progress(id) || s.us != Us::owed || s.head.version == Version::http_1_0) return;
  s.us = next(s.us, Did::inform);
  write_interim(s.out.copied(), status, fields);
}

void Connection::continue_100(RequestId id) {
  State& s = *state_;
  if (!s.in_progress(id) || !s.continue_owed || s.us == Us::open) return;
  s.out.add(kContinue);
  s.continue_owed = false;
}

int Connection::respond(RequestId id, const ResponseHead& head) {
  State& s = *state_;
  if (!s.in_progress(id)) return 0;
  const int status = code_of(head.status);
  const AnswerFields& fields = head.fields != nullptr ? *head.fields : no_fields;
  const bool head_request = s.is_head_request();
  const Decision decision = decide({status, head_request, fields.length(), head.content_bytes});
  s.framing = decision.framing;
  s.answer_left = decision.length;
  if (decision.framing == Framing::undecided) {
    s.us = next(s.us, Did::hold);
    s.held_head.clear();
    s.held_split = write_open_head(s.held_head, head, fields);
    return status;
  }
  s.us = next(s.us, Did::head);
  write_head(s.out.copied(), head, fields, s.say_persistence(), decision);
  return status;
}

Outcome Connection::body(RequestId id, std::span<const std::byte> bytes) {
  State& s = *state_;
  if (!s.in_progress(id) || bytes.empty()) return Outcome::ok;
  if (s.us == Us::held) s.open_held(false);
  s.us = next(s.us, Did::data);
  if (s.framing == Framing::none) return Outcome::complete;

  Outcome outcome = Outcome::ok;
  if (s.framing == Framing::length) {
    if (bytes.size() > s.answer_left) outcome = Outcome::over_length;
    if (bytes.size() == s.answer_left) outcome = Outcome::complete;
    bytes =
        bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), s.answer_left)));
    s.answer_left -= bytes.size();
    if (bytes.empty()) return outcome;
  }
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
  s.us = next(s.us, Did::data);
  if (s.framing == Framing::none) return Outcome::complete;
  IOTAX_CHECK(s.framing == Framing::length);
  const std::uint64_t left = s.answer_left;
  const std::uint64_t taken = std::min(length, left);
  s.answer_left -= taken;
  s.out.add_file(taken);
  if (length > left) return Outcome::over_length;
  return length == left ? Outcome::complete : Outcome::ok;
}

Outcome Connection::finish(RequestId id) {
  State& s = *state_;
  if (!s.in_progress(id)) return Outcome::ok;
  if (s.us == Us::held) s.open_held(true);
  if (s.framing == Framing::length && s.answer_left != 0) {
    abort(id);
    return Outcome::short_length;
  }
  s.us = next(s.us, Did::finish);
  if (s.framing == Framing::chunked) s.out.add(kLastChunk);
  s.advance();
  return Outcome::ok;
}

void Connection::abort(RequestId id) {
  State& s = *state_;
  if (!s.in_progress(id)) return;
  const bool unmarked = s.us == Us::open && s.framing == Framing::until_close;
  s.us = next(s.us, unmarked ? Did::reset : Did::abort);
  s.end_request();
}

void Connection::answer(RequestId id, const ServerAnswer& answer) {
  State& s = *state_;
  if (!s.in_progress(id)) return;
  s.us = next(s.us, Did::answer);
  if (answer.close) s.request_persists = false;
  write_answer(s.out.copied(), answer, s.say_persistence(), s.is_head_request());
  s.advance();
}

std::uint64_t Connection::content_bytes(const ServerAnswer& answer) const noexcept {
  return state_->is_head_request() ? 0 : core::content_bytes(answer);
}

// ---- inside

bool Connection::State::persists() const noexcept {
  return request_persists && !soon && peer != Peer::refused &&
         drained_bytes <= limits.drain_bytes_max && (peer != Peer::body || drainable());
}

/// Whether content that nobody reads may be read away (http1-policy rules 34, 36).
bool Connection::State::drainable() const noexcept {
  if (continue_owed) return false;
  const std::uint64_t left = head.content == Content::length ? content_left : 0;
  return left <= limits.drain_bytes_max && drained_bytes <= limits.drain_bytes_max - left;
}

/// What the head says of the connection. A close that was said stays, whatever still arrives of the
/// content.
Persist Connection::State::say_persistence() noexcept {
  request_persists = persists();
  if (!request_persists) return Persist::close;
  return head.version == Version::http_1_0 ? Persist::said : Persist::silently;
}

/// The framing of a held head is known now: let it out.
void Connection::State::open_held(bool is_end) {
  us = next(us, Did::head);
  const Decision decision = decide_late(head.version, is_end);
  framing = decision.framing;
  answer_left = decision.length;
  if (framing == Framing::until_close) request_persists = false;
  Bytes& to = out.copied();
  to.append(held_head.text().substr(0, held_split));
  write_framing(to, say_persistence(), decision);
  to.append(held_head.text().substr(held_split));
}

/// What follows from both halves.
void Connection::State::advance() noexcept {
  switch (settle(peer, us, persists())) {
    case Settled::wait:
      break;
    case Settled::drain:  // step() reads the content away
      head.id = RequestId::none;
      break;
    case Settled::next:
      next_request();
      break;
    case Settled::close:
      us = next(us, Did::close);
      end_request();
      break;
  }
}

void Connection::State::next_request() noexcept {
  peer = next(peer, Saw::next);
  us = next(us, Did::next);
  end_request();
  request_persists = true;
  since = now;
  release_when_idle();
}

void Connection::State::end_request() noexcept {
  head.id = RequestId::none;
  framing = Framing::undecided;
  answer_left = drained_bytes = 0;
  continue_owed = false;
  if (over()) {
    feed = {};
    held_head.release();
  }
}

}  // namespace iotax::core
