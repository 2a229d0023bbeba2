// The input side of Connection: from bytes, EOF and time to events. transitions.h defines the
// order, Parser the syntax.
#include <algorithm>
#include <cstdlib>
#include <new>

#include "core/check.h"
#include "core/connection.h"
#include "core/connection_state.h"

namespace iotax::core {
namespace {

/// Bytes of a receive that are copied first when a head begins in it; a typical head fits. Later
/// copies double the amount.
constexpr std::size_t kFirstHeadBytes = 1024;

TransferRate::Rules rate_rules(const Limits& limits, const Policy& policy) noexcept {
  return {limits.receive_timeout, limits.rate_grace,
          policy.continue_when_accepted ? limits.rate_bytes_min : limits.streaming_rate_bytes_min};
}

}  // namespace

Connection::State::State(const Limits& limits_lent, const Policy& policy_lent, Instant at) noexcept
    : limits(limits_lent),
      policy(policy_lent),
      now(at),
      since(at),
      rate(rate_rules(limits, policy)),
      parser(limits) {}

Connection::Connection(const Limits& limits, const Policy& policy, Instant now) noexcept
    : state_(std::make_unique<State>(limits, policy, now)) {}

Connection::~Connection() = default;

// ---- from the driver

void Connection::on_time(Instant now) noexcept { state_->now = std::max(state_->now, now); }

void Connection::receive(std::span<const std::byte> bytes) noexcept {
  State& s = *state_;
  if (bytes.empty() || s.ended || s.over() || s.request == RequestState::rejected) return;
  if (s.request == RequestState::body) {
    s.rate.progress(s.now, bytes.size());
    s.continue_owed = false;
  }
  if (s.feed.empty()) [[likely]] {
    s.feed = text_of(bytes);
    s.feed_owned = false;
    return;
  }
  s.own_feed();
  const bool in_rest =
      s.feed.data() >= s.rest.data() && s.feed.data() < s.rest.data() + s.rest.size();
  if (in_rest) {
    s.rest.drop_front(static_cast<std::size_t>(s.feed.data() - s.rest.data()));
  } else {
    s.rest.clear();
    s.rest.append(s.feed);
  }
  s.rest.append(text_of(bytes));
  s.feed = s.rest.text();
}

void Connection::receive_eof() noexcept { state_->ended = true; }

void Connection::close_soon() noexcept {
  state_->close_requested = true;
  if (state_->feed.empty()) state_->advance();
}

void Connection::pause_clock(bool held) noexcept {
  State& s = *state_;
  if (held == (s.held_since != kNever)) return;
  if (held) {
    s.held_since = s.now;
    return;
  }
  const Duration stood = s.now - s.held_since;
  s.since = later(s.since, stood);
  s.rate.shift(stood);
  s.held_since = kNever;
}

bool Connection::idle() const noexcept {
  const State& s = *state_;
  return s.request == RequestState::idle && s.response == ResponseState::idle && s.feed.empty() &&
         !s.ended;
}

Instant Connection::idle_since() const noexcept { return state_->since; }

Instant Connection::head_since() const noexcept { return state_->since; }

// ---- output

Step Connection::step() noexcept {
  State& s = *state_;
  for (;;) {
    switch (s.turn()) {
      case State::Turn::again:
        continue;
      case State::Turn::input:
        return NeedInput{};
      case State::Turn::paused:
        return Paused{};
      case State::Turn::head:
        return HeadEnd{s.head.id};
      case State::Turn::data:
        return BodyData{s.head.id, bytes_of(s.data)};
      case State::Turn::end:
        return BodyEnd{s.head.id};
      case State::Turn::rejected:
        return s.rejected;
    }
  }
}

std::span<const Slice> Connection::output() const noexcept { return state_->out.slices(); }

void Connection::sent(std::uint64_t bytes) noexcept {
  State& s = *state_;
  s.out.take(bytes);
  if (s.response != ResponseState::idle || s.request != RequestState::idle || !s.out.empty())
    return;
  s.since = s.now;
  s.release_when_idle();
}

Instant Connection::deadline() const noexcept { return state_->due(); }

bool Connection::wants_input() const noexcept {
  const State& s = *state_;
  if (s.over() || s.ended || s.request == RequestState::rejected ||
      s.request == RequestState::half_closed)
    return false;
  return s.request != RequestState::complete || s.feed.empty();
}

bool Connection::reads_content() const noexcept { return state_->request == RequestState::body; }

Closing Connection::closing() const noexcept {
  switch (state_->response) {
    case ResponseState::final:
      return Closing::after_flush;
    case ResponseState::truncated:
      return Closing::reset;
    case ResponseState::idle:
    case ResponseState::pending:
    case ResponseState::head_deferred:
    case ResponseState::in_progress:
    case ResponseState::complete:
      break;
  }
  return Closing::no;
}

std::size_t Connection::buffered_bytes() const noexcept {
  return state_->head_text.own_bytes() + state_->rest.own_bytes() +
         (state_->inline_buffers != nullptr ? sizeof(InlineBuffers) : 0);
}

bool Connection::in_head() const noexcept { return state_->request == RequestState::head; }

std::string Connection::partial_head() const {
  const State& s = *state_;
  if (s.request != RequestState::head && !s.refused_in_head) return {};
  std::string text(s.head_text.text().substr(s.head_begin));
  return text.append(s.feed);
}

const Head& Connection::head() const noexcept { return state_->head; }

// ---- internal

Connection::State::Turn Connection::State::turn() noexcept {
  if (over()) return Turn::paused;
  switch (request) {
    case RequestState::idle:
    case RequestState::head:
      return feed.empty() ? out_of_input() : take_head();
    case RequestState::body:
      return take_content();
    case RequestState::complete:
    case RequestState::half_closed:
      return pause();
    case RequestState::rejected:
      break;
  }
  return Turn::paused;
}

/// The request in progress is complete and waits for its response.
Connection::State::Turn Connection::State::pause() {
  own_feed();
  if (ended && feed.empty() && request == RequestState::complete)
    request = next(request, RequestEvent::eof);
  return Turn::paused;
}

Connection::State::Turn Connection::State::take_head() noexcept {
  if (request == RequestState::idle) {
    feed.remove_prefix(parser.skip_line_end(feed));
    if (feed.empty()) return Turn::again;
    since = now;
    if (parser.refusal().fault != Fault::none) return reject(parser.refusal());
    request = next(request, RequestEvent::begin);
    if (inline_buffers == nullptr) set_desk();
    parser.start_head();
    gather_head();
  } else {
    static_cast<void>(more_head());
  }
  do {
    switch (parser.parse_head(head_text.text().substr(head_begin))) {
      case Parser::Found::head:
        return accept_head();
      case Parser::Found::fault:
        return reject(parser.refusal());
      case Parser::Found::nothing_yet:
        break;
      case Parser::Found::data:
      case Parser::Found::end:
        IOTAX_CHECK(false);
    }
  } while (more_head());
  return Turn::again;
}

/// Move the beginning of a head to memory that lasts. Bytes that the connection owns stay in place.
void Connection::State::gather_head() {
  if (!feed_owned) {
    head_text.clear();
    head_begin = 0;
    static_cast<void>(more_head());
    return;
  }
  const bool in_rest = feed.data() >= rest.data() && feed.data() < rest.data() + rest.size();
  if (in_rest) head_text.swap(rest);
  rest.clear();
  head_begin = static_cast<std::size_t>(feed.data() - head_text.data());
  feed = {};
}

/// Append more input to an unfinished head. accept_head() returns the bytes beyond the head to the
/// feed.
bool Connection::State::more_head() {
  if (feed.empty()) return false;
  if (head_begin != 0) {
    head_text.drop_front(head_begin);
    head_begin = 0;
  }
  const std::size_t part = std::min(feed.size(), std::max(kFirstHeadBytes, head_text.size()));
  head_text.append(feed.substr(0, part));
  feed.remove_prefix(part);
  return true;
}

Connection::State::Turn Connection::State::accept_head() {
  const std::size_t end = head_begin + parser.head_bytes();
  const std::size_t behind = head_text.size() - end;
  if (feed.data() == nullptr) {  // the connection owns the bytes of the head and what follows
    feed = head_text.text().substr(end);
  } else {  // what follows was copied from the consumed end of the feed
    feed = {feed.data() - behind, feed.size() + behind};
    head_text.truncate(end);
  }
  request = next(request, RequestEvent::head);
  response = next(response, ResponseEvent::take);
  parser.fill(head);
  head.id = static_cast<RequestId>(++requests);
  request_persists = parser.persists() &&
                     (limits.keep_alive_requests == 0 || requests < limits.keep_alive_requests);
  content_left = head.content_bytes;
  if (head.content == Content::chunked) parser.start_content();
  if (head.content == Content::chunked || content_left != 0) {
    rate.start(now);
    continue_owed = head.expects_continue && feed.empty();
    if (continue_owed && policy.continue_when_accepted) {
      out.add(kContinue);
      continue_owed = false;
    }
  }
  return Turn::head;
}

/// Process one piece of the body, or its end. After a complete response the body is discarded
/// without events.
Connection::State::Turn Connection::State::take_content() noexcept {
  const std::size_t before = feed.size();
  data = {};
  bool end = false;
  if (head.content != Content::chunked) {
    end = content_left == 0;
    data = feed.substr(
        0, static_cast<std::size_t>(std::min<std::uint64_t>(content_left, feed.size())));
    content_left -= data.size();
    feed.remove_prefix(data.size());
  } else if (!feed.empty() || parser.refusal().fault != Fault::none) {
    std::size_t used = 0;  // the parser found a fault directly after data together with it
    const Parser::Found found = parser.parse_content(feed, used, data);
    feed.remove_prefix(used);
    if (found == Parser::Found::fault) return reject(parser.refusal());
    end = found == Parser::Found::end;
  }
  if (end) {
    request = next(request, RequestEvent::end);
  } else if (!data.empty()) {
    request = next(request, RequestEvent::data);
  } else if (before == 0) {
    return out_of_input();
  }
  if (response == ResponseState::complete) {
    drained_bytes += before - feed.size();
    advance();
    return Turn::again;
  }
  if (!end) return data.empty() ? Turn::again : Turn::data;
  static_cast<void>(pause());
  return Turn::end;
}

/// All input is consumed. Report EOF or an expired deadline; otherwise ask for more.
Connection::State::Turn Connection::State::out_of_input() noexcept {
  if (ended) {
    if (request == RequestState::head)
      return reject({Fault::eof_in_head, head_text.text().substr(head_begin), 0});
    if (request == RequestState::body) return reject({Fault::eof_in_body, {}, 0});
    if (parser.in_second_line_end()) return reject({Fault::leading_line_end, {}, 0});
    request = next(request, RequestEvent::eof);
    rejected = {Fault::eof_between, 0, {}, 0, RequestId::none};
    advance();
    return Turn::rejected;
  }
  if (now >= due()) return reject({late_fault(), {}, 0});
  if (request == RequestState::idle) release_when_idle();
  return Turn::input;
}

Instant Connection::State::due() const noexcept {
  if (held_since != kNever || over()) return kNever;
  const auto after = [this](Duration time) {
    return time == Duration::zero() ? kNever : later(since, time);
  };
  switch (request) {
    case RequestState::idle:
      return response == ResponseState::idle && out.empty() ? after(limits.keep_alive) : kNever;
    case RequestState::head:
      return after(limits.receive_timeout);
    case RequestState::body:
      return head.content == Content::chunked || content_left != 0 ? rate.deadline() : kNever;
    case RequestState::complete:
    case RequestState::half_closed:
    case RequestState::rejected:
      break;
  }
  return kNever;
}

Fault Connection::State::late_fault() const noexcept {
  if (request == RequestState::idle)
    return parser.in_second_line_end() ? Fault::leading_line_end : Fault::idle_timeout;
  if (request == RequestState::head) return Fault::head_timeout;
  if (rate.late_for_gap(now)) return Fault::body_timeout;
  return policy.continue_when_accepted ? Fault::body_rate : Fault::streaming_rate;
}

/// If the response head has been sent, the response continues and the fault gets no response of its
/// own.
Connection::State::Turn Connection::State::reject(const Refusal& refusal) noexcept {
  constexpr std::size_t kShownMax = 80;
  const bool in_body = request == RequestState::body;
  refused_in_head = request == RequestState::head;
  // Bytes beyond a limit depend on how the input was split.
  const std::size_t seen = std::min(limits.head_bytes_max, limits.request_line_bytes_max);
  refused_head = request == RequestState::head &&
                 head_text.text().substr(head_begin, seen).starts_with("HEAD ");
  request = next(request, RequestEvent::fault);
  rejected = {refusal.fault, status_of(refusal.fault), refusal.offending.substr(0, kShownMax),
              refusal.size_bytes, RequestId::none};
  if (in_body && response != ResponseState::complete) rejected.in_body_of = head.id;
  if (response == ResponseState::in_progress || response == ResponseState::complete)
    rejected.status = 0;
  if (response == ResponseState::idle && rejected.status == 0)
    response = next(response, ResponseEvent::close);
  advance();
  return Turn::rejected;
}

/// The driver's bytes become invalid after this step: copy the input after the request in progress.
void Connection::State::own_feed() {
  if (feed_owned || feed.empty()) return;
  rest.clear();
  rest.append(feed);
  feed = rest.text();
  feed_owned = true;
}

/// Only when released: all buffers that start in it are empty.
void Connection::State::set_desk() {
  inline_buffers.reset(static_cast<InlineBuffers*>(std::malloc(sizeof(InlineBuffers))));
  if (inline_buffers == nullptr) throw std::bad_alloc();
  parser.lend(inline_buffers->fields);
  if (head_text.capacity() == 0) head_text.lend(inline_buffers->head);
  if (out.copied().capacity() == 0) out.copied().lend(inline_buffers->response);
}

/// An idle connection keeps no buffer.
void Connection::State::release_when_idle() noexcept {
  if (inline_buffers == nullptr || !feed.empty() || !out.empty()) return;
  head_text.release();
  rest.release();
  deferred_head.release();
  parser.release();
  out.release();
  inline_buffers.reset();
}

}  // namespace iotax::core
