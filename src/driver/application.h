// Interface between the driver and the code that runs the application: the bridge in the product, a
// script in tests. The driver calls Application; Application responds through Exchange. Neither
// names Python, a header or a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/events.h"
#include "core/response.h"
#include "driver/endpoints.h"
#include "driver/os/unique_fd.h"

namespace iotax::driver {

/// Result of sending a block or ending a response.
enum class Sent : std::uint8_t {
  ok,
  complete,      // the declared length is reached: no further block is needed
  over_length,   // the block exceeded the declared length and was truncated there
  short_length,  // the response ended before the declared length: it is truncated
  gone,          // the client is disconnected or took nothing for too long; nothing more is sent
};

/// Why reading the body of a request failed. Only possible when the application reads while it
/// arrives.
enum class BodyError : std::uint8_t {
  none,
  disconnected,  // EOF or reset before the end
  timed_out,     // receive timeout or minimum rate
  malformed,     // invalid framing, or over the limit
  storage,       // the temporary file could not be read
};

struct BodyRead {
  std::size_t bytes = 0;  // 0 with BodyError::none: the end of the body
  BodyError error = BodyError::none;
};

/// One request during its call, lent to the thread that calls the application. For that thread
/// only; after finish() only deliver() may be called, after fail() or abort() nothing. Every call
/// may take time: the implementation releases the application lock (Application::leave, enter)
/// before it sends, waits or uses a file, and gives up the lead before it waits.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // ---- the request; views are valid as long as the exchange
  [[nodiscard]] virtual const core::Head& head() const noexcept = 0;
  [[nodiscard]] virtual const Peer& peer() const noexcept = 0;
  [[nodiscard]] virtual std::string_view request_id() const noexcept = 0;
  /// Size of the body if it is known: always, unless it is chunked and read while it arrives.
  [[nodiscard]] virtual std::optional<std::uint64_t> body_bytes() const noexcept = 0;
  /// The whole body if it is in memory; empty for a temporary file, or if it is read while it
  /// arrives.
  [[nodiscard]] virtual std::optional<std::span<const std::byte>> body_in_memory()
      const noexcept = 0;
  /// Whether the whole body is stored: seek_body() may be used.
  [[nodiscard]] virtual bool body_is_stored() const noexcept = 0;
  /// Read the next bytes of the body. Blocks until there is at least one, or the end.
  virtual BodyRead read_body(std::span<std::byte> into) = 0;
  /// Make read_body() continue at `offset`, which is within the body.
  virtual void seek_body(std::uint64_t offset) = 0;

  // ---- the response
  virtual void inform(int status,
                      const core::ResponseFields& fields) = 0;  // 103; sent immediately
  /// Sets Date and Server if they are empty.
  virtual void respond(core::ResponseHead& head) = 0;
  virtual Sent body(std::span<const std::byte> block) = 0;
  /// Send `length` bytes of a regular file from `offset`. Takes ownership of the file, which the
  /// leader may send after finish().
  virtual Sent body_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) = 0;
  /// On return, all data passed so far has been given to the kernel, or another thread is
  /// responsible for sending it (PEP 3333, S-BUF-03). Call it before control returns to the
  /// application.
  virtual Sent deliver() = 0;
  virtual Sent finish() = 0;
  /// Send the server's own response, e.g. 500. Only before respond().
  virtual void fail(int status, std::string_view sentence) = 0;
  /// Truncate the response, visibly to the client. Only after respond().
  virtual void abort() = 0;

  // ---- for the access log, before the response ends
  /// Keep a value of environ; `index`: in AccessFormat::collected().
  virtual void collect(std::size_t /*index*/, std::string_view /*value*/) {}
  /// The class of the application's exception.
  virtual void failed_with(std::string_view /*exception*/) {}

  /// Whether a reset or a failed send was seen (beyond 5.4). A half-close does not count.
  [[nodiscard]] virtual bool gone() const noexcept = 0;
};

/// What the fields of a request say of its client.
struct ClientOrigin {
  std::string address;     // empty: that of the peer. Only bytes that a log line may contain
  std::string_view fault;  // why the request is rejected with 400; empty: it is not
};

/// Runs requests. `thread` is 0 for the thread that called Worker::run(), 1 to threads-1 for the
/// other application threads. No function throws.
class Application {
 public:
  virtual ~Application() = default;
  /// Acquire the application lock (the GIL). May block for long.
  virtual void enter(unsigned thread) noexcept = 0;
  virtual void leave(unsigned thread) noexcept = 0;
  /// Run one request to its end: calls exactly one of finish(), fail(), abort(). Called with the
  /// application lock.
  virtual void call(unsigned thread, Exchange& exchange) noexcept = 0;
  /// Whether to trust what requests of this peer say about their origin: the client's address and
  /// the request id. Called without the application lock, by any thread; client_of() too.
  [[nodiscard]] virtual bool trusts(const Peer& /*peer*/) const noexcept { return false; }
  /// Whether this peer of a proxy:// listener may send a PROXY header. Called by the leader.
  [[nodiscard]] virtual bool may_send_proxy_header(const Peer& /*peer*/) const noexcept {
    return false;
  }
  /// The client as the application sees it, for a request with these fields.
  [[nodiscard]] virtual ClientOrigin client_of(
      const Peer& /*peer*/, std::span<const core::Field> /*fields*/) const noexcept {
    return {};
  }
  /// Run pending signal handlers. For thread 0, with the application lock. true: a handler raised,
  /// which asks to stop.
  [[nodiscard]] virtual bool run_signal_handlers() noexcept = 0;
  /// The stop has exceeded its deadline and a call has not returned: flush the logs and end the
  /// process, without the application lock. Returns only in tests, and if the process is not the
  /// server's own (then the worker continues to wait for the call).
  virtual void end_process(int exit_code) noexcept = 0;
};

}  // namespace iotax::driver
