// Every rule about order, as two half-machines: the client's request and the server's response.
// They meet only in next_step(). No other file has a flag that changes which event may come next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iotax::core {

enum class RequestState : std::uint8_t {
  idle,         // between requests: nothing of the next one has arrived
  head,         // inside a head
  body,         // inside the body (also when its length is 0)
  complete,     // the request is complete
  half_closed,  // complete, and the client has shut down its sending side
  rejected,     // broke a rule or a deadline, or ended inside a message: input is no longer parsed
};
enum class RequestEvent : std::uint8_t { begin, head, data, end, next, eof, fault };

enum class ResponseState : std::uint8_t {
  idle,           // no request to respond to
  pending,        // a request waits for its response
  head_deferred,  // the response head is known but not its framing: none of it is in the output
  in_progress,    // the head is in the output
  complete,       // the response is complete
  final,          // the last response is complete; close after flushing
  truncated,      // a close-delimited response was truncated: only a reset can show that
};
enum class ResponseEvent : std::uint8_t {
  take,
  inform,
  defer,
  head,
  data,
  finish,
  server_response,
  reject,
  abort,
  reset,
  next,
  close
};

struct RequestRow {
  RequestState from;
  RequestEvent event;
  RequestState to;
};
struct ResponseRow {
  ResponseState from;
  ResponseEvent event;
  ResponseState to;
};

inline constexpr auto kRequestRows = [] {
  using S = RequestState;
  using E = RequestEvent;
  return std::array{
      RequestRow{S::idle, E::begin, S::head},
      RequestRow{S::idle, E::eof, S::half_closed},
      RequestRow{S::idle, E::fault, S::rejected},
      RequestRow{S::head, E::head, S::body},  // RFC 9112 §2.1
      RequestRow{S::head, E::fault, S::rejected},
      RequestRow{S::body, E::data, S::body},  // RFC 9112 §6
      RequestRow{S::body, E::end, S::complete},
      RequestRow{S::body, E::fault, S::rejected},
      RequestRow{S::complete, E::next, S::idle},        // RFC 9112 §9.3.2
      RequestRow{S::complete, E::eof, S::half_closed},  // RFC 9112 §9.6: still gets its response
  };
}();

inline constexpr auto kResponseRows = [] {
  using S = ResponseState;
  using E = ResponseEvent;
  return std::array{
      ResponseRow{S::idle, E::take, S::pending},
      ResponseRow{S::idle, E::reject, S::final},
      ResponseRow{S::idle, E::close, S::final},
      ResponseRow{S::pending, E::inform, S::pending},  // RFC 9110 §15.2
      ResponseRow{S::pending, E::defer, S::head_deferred},
      ResponseRow{S::pending, E::head, S::in_progress},
      ResponseRow{S::pending, E::server_response, S::complete},
      ResponseRow{S::pending, E::reject, S::final},
      ResponseRow{S::pending, E::abort, S::final},
      ResponseRow{S::head_deferred, E::head, S::in_progress},
      ResponseRow{S::head_deferred, E::reject, S::final},
      ResponseRow{S::head_deferred, E::abort, S::final},
      ResponseRow{S::in_progress, E::data, S::in_progress},
      ResponseRow{S::in_progress, E::finish, S::complete},
      ResponseRow{S::in_progress, E::abort, S::final},  // the truncation is visible: RFC 9112 §8
      ResponseRow{S::in_progress, E::reset, S::truncated},
      ResponseRow{S::complete, E::next, S::idle},
      ResponseRow{S::complete, E::close, S::final},
  };
}();

inline constexpr std::size_t kRequestStates = 6, kRequestEvents = 7, kResponseStates = 7,
                             kResponseEvents = 12;

namespace detail {

inline constexpr std::uint8_t kNoRow = 0xFF;

template <std::size_t From, std::size_t Input, class Rows, class Column>
constexpr auto tabulate(const Rows& rows, Column column) noexcept {
  std::array<std::array<std::uint8_t, Input>, From> table{};
  for (auto& line : table) line.fill(kNoRow);
  for (const auto& row : rows)
    table[static_cast<std::size_t>(row.from)][static_cast<std::size_t>(column(row))] =
        static_cast<std::uint8_t>(row.to);
  return table;
}

inline constexpr auto kRequestTable = tabulate<kRequestStates, kRequestEvents>(
    kRequestRows, [](const RequestRow& row) { return row.event; });
inline constexpr auto kResponseTable = tabulate<kResponseStates, kResponseEvents>(
    kResponseRows, [](const ResponseRow& row) { return row.event; });

}  // namespace detail

constexpr bool allowed(RequestState from, RequestEvent event) noexcept {
  return detail::kRequestTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)] !=
         detail::kNoRow;
}
constexpr bool allowed(ResponseState from, ResponseEvent event) noexcept {
  return detail::kResponseTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)] !=
         detail::kNoRow;
}

/// Name the pair and abort the process: a pair without a row is a bug of the server.
[[noreturn]] void refuse_order(RequestState from, RequestEvent event) noexcept;
[[noreturn]] void refuse_order(ResponseState from, ResponseEvent event) noexcept;

inline RequestState next(RequestState from, RequestEvent event) noexcept {
  const std::uint8_t to =
      detail::kRequestTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)];
  if (to == detail::kNoRow) [[unlikely]]
    refuse_order(from, event);
  return static_cast<RequestState>(to);
}
inline ResponseState next(ResponseState from, ResponseEvent event) noexcept {
  const std::uint8_t to =
      detail::kResponseTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(event)];
  if (to == detail::kNoRow) [[unlikely]]
    refuse_order(from, event);
  return static_cast<ResponseState>(to);
}

/// The next step, from both half-machines together.
enum class NextStep : std::uint8_t {
  wait,          // for the client or for the application
  discard,       // the response is complete but the body is not: read and drop it, within a bound
                 // (rule 36)
  next_request,  // both are complete and the connection persists
  close,         // no further responses
};

/// `persists`: neither side has requested close, and the connection has not reached a limit.
constexpr NextStep next_step(RequestState request, ResponseState response, bool persists) noexcept {
  if (response == ResponseState::final || response == ResponseState::truncated)
    return NextStep::wait;
  if (response == ResponseState::complete) {
    if (!persists || request == RequestState::half_closed || request == RequestState::rejected)
      return NextStep::close;
    if (request == RequestState::complete) return NextStep::next_request;
    return NextStep::discard;
  }
  if (response == ResponseState::idle &&
      (request == RequestState::half_closed || (request == RequestState::idle && !persists)))
    return NextStep::close;
  return NextStep::wait;
}

static_assert(!allowed(RequestState::body, RequestEvent::eof),
              "a cut-off body is a fault, never an end");
static_assert(!allowed(RequestState::rejected, RequestEvent::data),
              "nothing is looked at after a refusal");

[[nodiscard]] std::string_view name_of(RequestState state) noexcept;
[[nodiscard]] std::string_view name_of(RequestEvent event) noexcept;
[[nodiscard]] std::string_view name_of(ResponseState state) noexcept;
[[nodiscard]] std::string_view name_of(ResponseEvent event) noexcept;

}  // namespace iotax::core
