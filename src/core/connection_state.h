// Internal state of Connection: the two half-machines and their data. request_side.cc handles
// input, response_side.cc responses. Only these two include it.
#pragma once

#include <array>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "core/bytes.h"
#include "core/char_class.h"
#include "core/connection.h"
#include "core/output.h"
#include "core/parser.h"
#include "core/response_framing.h"
#include "core/serialize.h"
#include "core/text.h"
#include "core/transfer_rate.h"
#include "core/transitions.h"

namespace iotax::core {

/// Buffers for a small request and its response, in one allocation that exists only while it is
/// needed: a typical head with a few fields, a small response. Larger contents move to their own
/// memory. Its size is the largest that glibc serves from its per-thread cache.
struct InlineBuffers {
  alignas(Field) std::array<char, 6 * sizeof(Field)> fields;
  std::array<char, 384> head;
  std::array<char, 448> response;
};
static_assert(sizeof(InlineBuffers) <= 1032);

struct Connection::State {
  State(const Limits& limits_lent, const Policy& policy_lent, Instant at) noexcept;

  const Limits& limits;
  const Policy& policy;

  // ---- time
  Instant now;
  Instant since;  // idle: when it began; head: when its first byte arrived
  Instant held_since = kNever;
  TransferRate rate;  // of the body being received

  // ---- the halves
  RequestState request = RequestState::idle;
  ResponseState response = ResponseState::idle;

  struct Free {
    void operator()(InlineBuffers* given_back) const noexcept { std::free(given_back); }
  };
  std::unique_ptr<InlineBuffers, Free>
      inline_buffers;  // declared before the buffers that may start in it

  // ---- input
  /// Unprocessed input. Owned by the caller or, if `feed_owned`, in `rest` or after the head in
  /// `head_text`.
  std::string_view feed;
  bool feed_owned = false;
  bool ended = false;  // the client's EOF comes after `feed`
  /// The head of the request in progress, from `head_begin` on. Does not move until the request
  /// ends.
  Bytes head_text;
  std::size_t head_begin = 0;
  Bytes rest;
  Parser parser;
  Head head;
  std::uint64_t requests = 0;

  // ---- request body
  std::uint64_t content_left = 0;   // Content::length
  std::uint64_t drained_bytes = 0;  // discarded after a complete response
  bool continue_owed = false;       // 100 is expected, not sent, and no body bytes have arrived

  // ---- response
  Output out;
  Bytes deferred_head;  // ResponseState::head_deferred: the head without its framing, which is
                        // inserted at `deferred_split`
  std::size_t deferred_split = 0;
  Framing framing = Framing::undecided;
  std::uint64_t body_left = 0;   // Framing::length
  std::uint64_t body_given = 0;  // bytes of it in the output, so far
  bool close_requested = false;  // close_soon()
  bool request_persists = true;  // RFC 9112 §9.3
  bool refused_in_head = false;  // the rejected part is a head
  bool refused_head = false;     // and its method is HEAD

  // ---- request_side.cc
  /// Result of one turn; the event itself is in `head`, `data` or `rejected`.
  enum class Turn : std::uint8_t { again, input, paused, head, data, end, rejected };
  std::string_view data;
  Rejected rejected;
  [[nodiscard]] Turn turn() noexcept;
  [[nodiscard]] Turn pause();
  [[nodiscard]] Turn take_head() noexcept;
  [[nodiscard]] Turn take_content() noexcept;
  [[nodiscard]] Turn out_of_input() noexcept;
  [[nodiscard]] Turn accept_head();
  [[nodiscard]] Turn reject(const Refusal& refusal) noexcept;
  void gather_head();
  [[nodiscard]] bool more_head();
  [[nodiscard]] Fault late_fault() const noexcept;
  [[nodiscard]] Instant due() const noexcept;
  void own_feed();
  void set_desk();
  void release_when_idle() noexcept;

  // ---- response_side.cc
  /// The last response is complete or truncated.
  [[nodiscard]] bool over() const noexcept {
    return response == ResponseState::final || response == ResponseState::truncated;
  }
  [[nodiscard]] bool in_progress(RequestId id) const noexcept {
    return id == head.id && id != RequestId::none;
  }
  [[nodiscard]] bool is_head_request() const noexcept {
    return head.id == RequestId::none ? refused_head : same_text(head.method, "HEAD");
  }
  [[nodiscard]] bool persists() const noexcept;
  [[nodiscard]] bool drainable() const noexcept;
  [[nodiscard]] Persist say_persistence() noexcept;
  void open_deferred(bool is_end);
  void advance() noexcept;
  void next_request() noexcept;
  void end_request() noexcept;
};

}  // namespace iotax::core
