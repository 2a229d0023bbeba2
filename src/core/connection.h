// One HTTP/1.x connection as a pure state machine: bytes and time in, events and bytes out. It must
// not know sockets, clocks, threads or Python.
// Events and output do not depend on how the input was split, except that adjacent BodyData merge
// and that 100 (Continue) is omitted if body bytes have already arrived.
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

/// A piece of output: either bytes, or the next `file_bytes` bytes of the file announced with
/// body_file().
struct Slice {
  std::span<const std::byte> bytes;
  std::uint64_t file_bytes = 0;
};

enum class Closing : std::uint8_t {
  no,
  /// Flush, then close with lingering: shut down writing, discard input for a bounded time, close.
  after_flush,
  /// Flush, then send RST once the output is acknowledged: a close-delimited response was
  /// truncated.
  reset,
};

/// Blocks up to this size are copied into the connection's output; larger ones are referenced (see
/// body()).
inline constexpr std::size_t kCopyBytesMax = 16 * 1024;

class Connection {
 public:
  /// `limits` and `policy` are borrowed and must outlive the connection.
  Connection(const Limits& limits, const Policy& policy, Instant now) noexcept;
  Connection(Limits&&, const Policy&, Instant) = delete;
  Connection(const Limits&, Policy&&, Instant) = delete;
  ~Connection();
  Connection(Connection&&) = delete;

  // ---- from the driver
  /// Set the time: before receive() in the same iteration, and when deadline() has passed. An
  /// earlier time is ignored.
  void on_time(Instant now) noexcept;
  /// Bytes from the client. The caller owns them and keeps them valid until step() has returned
  /// NeedInput, BodyEnd, Paused or Rejected; the connection has then copied what it still needs. An
  /// empty span does not mean EOF.
  void receive(std::span<const std::byte> bytes) noexcept;
  /// The client has shut down its sending side.
  void receive_eof() noexcept;
  /// Set the response to the last Rejected. Not allowed when its status is 0.
  void reject(const ServerResponse& response);
  /// The next response sends "Connection: close", and an idle connection closes (graceful
  /// shutdown).
  void close_soon() noexcept;
  /// Pause the client's timeouts while the driver does not read the body because the application
  /// does not take it, or while the driver still sends a stored response. `held` false resumes
  /// them.
  void pause_clock(bool held) noexcept;
  /// Neither a response in progress nor unprocessed input (bytes or EOF): step() has nothing to
  /// report until the next receive() or deadline().
  [[nodiscard]] bool idle() const noexcept;
  /// Start of the idle period; only while idle().
  [[nodiscard]] Instant idle_since() const noexcept;
  /// When the first byte of the last head arrived, or a Rejected one; only while not idle().
  [[nodiscard]] Instant head_since() const noexcept;

  // ---- from the application's side; ids other than the request in progress are ignored
  /// Send an interim response (103 Early Hints). Ignored for HTTP/1.0 and after the response head.
  void inform(RequestId id, int status, const ResponseFields& fields);
  /// Send the response head. Returns its status code, or 0 if the call is ignored.
  int respond(RequestId id, const ResponseHead& head);
  /// Blocks larger than kCopyBytesMax are only referenced: consume the output (output(), sent())
  /// before the bytes become invalid.
  Outcome body(RequestId id, std::span<const std::byte> bytes);
  /// The next `length` bytes of the response come from a file that the driver keeps open. Only with
  /// a known content length.
  Outcome body_file(RequestId id, std::uint64_t length);
  /// Content bytes of the response in progress that were taken so far: without those that exceed
  /// its length, and 0 for HEAD.
  [[nodiscard]] std::uint64_t body_given() const noexcept;
  /// Complete the response. Returns Outcome::ok or short_length.
  Outcome finish(RequestId id);
  /// Whether finish() would return short_length now.
  [[nodiscard]] bool is_short() const noexcept;
  /// The application failed after the response head was sent: truncate the response visibly,
  /// without a terminator (beyond 5.2).
  void abort(RequestId id);
  /// Send a complete response of the server's own. Only before respond() for this id.
  void respond_instead(RequestId id, const ServerResponse& response);
  /// Number of body bytes that respond_instead() would send now: 0 for HEAD.
  [[nodiscard]] std::uint64_t content_bytes(const ServerResponse& response) const noexcept;
  /// Send 100 (Continue) if the request expects it and no part of its body has arrived. RFC 9110
  /// §10.1.1.
  void continue_100(RequestId id);

  // ---- out
  /// Advance by one event.
  /// Per request: HeadEnd, then 0..n BodyData, then exactly one BodyEnd (RFC 9112 §6). A HeadEnd
  /// comes only after the response to the previous request is complete.
  /// A client fault is returned as Rejected, after the responses to all earlier requests;
  /// afterwards only output and closing remain. Never throws.
  [[nodiscard]] Step step() noexcept;
  /// All unsent output, in request order. Views are valid until the next non-const call.
  [[nodiscard]] std::span<const Slice> output() const noexcept;
  /// The driver has sent or stored the first `bytes` of output(), file bytes included.
  void sent(std::uint64_t bytes) noexcept;
  /// When to call on_time() next; kNever when nothing is due.
  [[nodiscard]] Instant deadline() const noexcept;
  /// Whether the connection can use more bytes from the client. False while a response is in
  /// progress and pipelined input waits.
  [[nodiscard]] bool wants_input() const noexcept;
  /// Whether a request body is being received.
  [[nodiscard]] bool reads_content() const noexcept;
  [[nodiscard]] Closing closing() const noexcept;
  /// Memory used for input: 0 when idle, otherwise at most twice limits.head_bytes_max plus one
  /// receive (buffers grow by doubling).
  [[nodiscard]] std::size_t buffered_bytes() const noexcept;
  /// Whether a head has begun to arrive that is neither complete nor rejected.
  [[nodiscard]] bool in_head() const noexcept;
  /// A copy of the incomplete or rejected head received so far, and of the bytes after it: input
  /// for partial_head.h. Empty if no head has begun. Only until reject().
  [[nodiscard]] std::string partial_head() const;
  /// The head of the request in progress, between its HeadEnd and its end.
  [[nodiscard]] const Head& head() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace iotax::core
