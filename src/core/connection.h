// One HTTP/1.x connection as a pure machine: bytes and time in, events and bytes out (DESIGN: the
// core's contract). It must not know sockets, clocks, threads or Python.
//
// Invariants:
//  1. The same inputs in the same order give the same events and output, however the bytes were cut
//  (adjacent BodyData merged;
//     an interim 100 is left out when content had already arrived).
//  2. One request at a time: a Head is given out only when the one before it is answered; what is
//  pipelined behind waits.
//  3. Output is append-only and in request order; a refusal comes after every answer to requests
//  before it.
//  4. An idle connection (nothing received of the next request) holds no buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/events.h"
#include "core/instant.h"
#include "core/limits.h"
#include "core/policy.h"
#include "core/response.h"

namespace iotax::core {

/// A piece of output: either bytes, or the next `file_bytes` of the file that was announced with
/// body_file().
struct Slice {
  std::span<const std::byte> bytes;
  std::uint64_t file_bytes = 0;
};

enum class Closing : std::uint8_t {
  no,
  /// Send what is left, then close lingering: shut down writing, read away for a bounded time,
  /// close.
  after_flush,
  /// Send what is left, then RST once it is acknowledged: a close-delimited answer that broke off.
  reset,
};

/// Blocks up to this size are copied into the connection's output; larger ones are referenced (see
/// body()).
inline constexpr std::size_t kCopyBytesMax = 16 * 1024;

class Connection {
 public:
  /// `limits` and `policy` are borrowed for the connection's life.
  Connection(const Limits& limits, const Policy& policy, Instant now) noexcept;
  Connection(Limits&&, const Policy&, Instant) = delete;
  Connection(const Limits&, Policy&&, Instant) = delete;
  ~Connection();
  Connection(Connection&&) = delete;

  // ---- from the driver
  /// Tell the time, before receive() of the same turn and when deadline() has come. Never goes
  /// back.
  void on_time(Instant now) noexcept;
  /// Bytes of the peer. They stay the caller's and must stay valid until step() has answered
  /// NeedInput, BodyEnd, Paused or Rejected; what is still needed then has been copied. An empty
  /// span is no EOF.
  void receive(std::span<const std::byte> bytes) noexcept;
  /// The peer has shut down its sending side.
  void receive_eof() noexcept;
  /// The text of the answer to the last Rejected. Not allowed when its status was 0.
  void refuse(const ServerAnswer& answer);
  /// From now on the next answer says close, and an idle connection closes (graceful stop).
  void close_soon() noexcept;
  /// While held, the peer's time-outs stand still: the driver does not read because nobody takes
  /// the content, or it still sends an answer that it stored elsewhere. Release it to let them run
  /// on.
  void hold_clock(bool held) noexcept;
  /// No answer is in progress, and neither a byte nor an EOF waits to be looked at: step() has
  /// nothing to say until the next receive() or deadline().
  [[nodiscard]] bool idle() const noexcept;
  /// While idle(): since when.
  [[nodiscard]] Instant idle_since() const noexcept;

  // ---- from the application's side; ids other than the request in progress are ignored
  /// An interim answer (103 Early Hints). Ignored for HTTP/1.0 and after the head.
  void inform(RequestId id, int status, const AnswerFields& fields);
  /// The head. Returns its status code; 0 when ignored.
  int respond(RequestId id, const ResponseHead& head);
  /// Blocks over kCopyBytesMax are only referenced: take the output (output(), sent()) before the
  /// bytes end.
  Outcome body(RequestId id, std::span<const std::byte> bytes);
  /// The next `length` bytes of the answer come from a file that the driver holds. Only with a
  /// known content length.
  Outcome body_file(RequestId id, std::uint64_t length);
  /// The answer is complete. Outcome::ok or short_length.
  Outcome finish(RequestId id);
  /// The application failed after its head went out: end visibly broken, without a terminator
  /// (beyond 5.2).
  void abort(RequestId id);
  /// A whole answer by the server. Before respond() of the id only.
  void answer(RequestId id, const ServerAnswer& answer);
  /// The content that answer() would send now: nothing to HEAD.
  [[nodiscard]] std::uint64_t content_bytes(const ServerAnswer& answer) const noexcept;
  /// Send 100 (Continue) if the request expects it and none of its content has arrived. RFC 9110
  /// §10.1.1.
  void continue_100(RequestId id);

  // ---- out
  /// Advance by one event.
  /// Order: HeadEnd, then 0..n BodyData, then exactly one BodyEnd, per request (RFC 9112 §6).
  /// A fault of the peer's is Rejected; afterwards only output and closing remain. Never throws.
  [[nodiscard]] Step step() noexcept;
  /// Everything to send, in order. Views end with the next non-const call.
  [[nodiscard]] std::span<const Slice> output() const noexcept;
  /// The driver has taken over the first `bytes` of output(), file bytes included (sent or stored
  /// elsewhere).
  void sent(std::uint64_t bytes) noexcept;
  /// When on_time() wants to be called next; kNever when nothing is due.
  [[nodiscard]] Instant deadline() const noexcept;
  /// Whether more bytes of the peer can be used now. False while an answer is in progress and input
  /// waits behind it.
  [[nodiscard]] bool wants_input() const noexcept;
  /// A request's content is under way.
  [[nodiscard]] bool reads_content() const noexcept;
  [[nodiscard]] Closing closing() const noexcept;
  /// Memory held for input: 0 when idle, else at most twice limits.head_bytes_max and one receive
  /// (buffers grow by doubling).
  [[nodiscard]] std::size_t buffered_bytes() const noexcept;
  /// Whether a head has begun to arrive that is neither complete nor refused.
  [[nodiscard]] bool in_head() const noexcept;
  /// A copy of what has arrived of such a head, or of the one that was refused, and of what lies
  /// behind it: text for partial_head.h. Empty: no head has begun. Until refuse().
  [[nodiscard]] std::string partial_head() const;
  /// The head of the request in progress, between its HeadEnd and its end.
  [[nodiscard]] const Head& head() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iotax::core
