// The seam between the driver and whoever runs the application: the bridge in the product, a script
// in tests. The driver calls Application; Application answers through Exchange. Neither names
// Python, a header or a socket.
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

/// How a block, or the end of an answer, went.
enum class Sent : std::uint8_t {
  ok,
  complete,      // the declared length is reached: no further block is needed
  over_length,   // the block went past the declared length and was cut there
  short_length,  // end of the answer before the declared length: it ends visibly broken
  gone,          // the client is gone or took nothing for too long; nothing more will be sent
};

/// Why reading the content of a request failed. Only possible when the application reads while it
/// arrives.
enum class BodyError : std::uint8_t {
  none,
  disconnected,  // EOF or reset before the end
  timed_out,     // receive time-out or minimum rate
  malformed,     // broken framing, or over the limit
  storage,       // the temporary file could not be read
};

struct BodyRead {
  std::size_t bytes = 0;  // 0 with BodyError::none: the end
  BodyError error = BodyError::none;
};

/// One request on its way through the application, lent to the thread that calls it. Used by that
/// thread only, and after finish() nothing but deliver() is called, after fail() or abort() nothing
/// at all. Every call may take time: the
/// implementation leaves the interpreter (Application::leave, enter) before it sends, waits or
/// touches a file, and gives up the lead before it waits.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // ---- the request; views last as long as the exchange
  [[nodiscard]] virtual const core::Head& head() const noexcept = 0;
  [[nodiscard]] virtual const Peer& peer() const noexcept = 0;
  [[nodiscard]] virtual std::string_view request_id() const noexcept = 0;
  /// Size of the content if it is known: always, unless it is chunked and read while it arrives.
  [[nodiscard]] virtual std::optional<std::uint64_t> body_bytes() const noexcept = 0;
  /// The whole content when it lies in memory, else nothing (temporary file, or read while it
  /// arrives).
  [[nodiscard]] virtual std::optional<std::span<const std::byte>> body_in_memory()
      const noexcept = 0;
  /// The whole content is there: seek_body() may be used.
  [[nodiscard]] virtual bool body_is_stored() const noexcept = 0;
  /// The next bytes of the content, in order. Blocks until at least one is there, or the end.
  virtual BodyRead read_body(std::span<std::byte> into) = 0;
  /// read_body() goes on `offset` bytes behind the beginning, which lies within the content.
  virtual void seek_body(std::uint64_t offset) = 0;

  // ---- the answer
  virtual void inform(int status,
                      const core::AnswerFields& fields) = 0;  // 103; handed to the system at once
  /// Fills in Date and Server where they are empty.
  virtual void respond(core::ResponseHead& head) = 0;
  virtual Sent body(std::span<const std::byte> block) = 0;
  /// `length` bytes of a regular file from `offset`; sent by the leader after finish(), the file is
  /// owned from here on.
  virtual Sent body_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) = 0;
  /// Everything given so far is with the operating system, or another thread is sure to go on
  /// sending it, before this returns (PEP 3333, S-BUF-03). Call it before control goes back to the
  /// application.
  virtual Sent deliver() = 0;
  virtual Sent finish() = 0;
  /// Nothing went out yet: the server's own answer instead, e.g. 500.
  virtual void fail(int status, std::string_view sentence) = 0;
  /// The head is out: end visibly broken.
  virtual void abort() = 0;
  /// A reset or a failed send was seen (beyond 5.4). A half-close is not gone.
  [[nodiscard]] virtual bool gone() const noexcept = 0;
};

/// Whoever runs requests. `thread` is 0 for the thread that called Worker::run(), 1 to threads-1
/// for the other application threads. None of these throws.
class Application {
 public:
  virtual ~Application() = default;
  /// Make the interpreter usable by this thread (take the GIL). May block for long.
  virtual void enter(unsigned thread) noexcept = 0;
  virtual void leave(unsigned thread) noexcept = 0;
  /// Run one request to its end: exactly one of finish(), fail(), abort() has been called when this
  /// returns. Entered.
  virtual void call(unsigned thread, Exchange& exchange) noexcept = 0;
  /// Whether what this peer's request says about its origin is believed: the client's address and
  /// the request id. Not entered, by any thread; so is client_of().
  [[nodiscard]] virtual bool trusts(const Peer& /*peer*/) const noexcept { return false; }
  /// The address of the client for a request with these fields, as the application is told; empty:
  /// that of the peer. Octets that a log line may hold.
  [[nodiscard]] virtual std::string client_of(
      const Peer& /*peer*/, std::span<const core::Field> /*fields*/) const noexcept {
    return {};
  }
  /// Run pending signal handlers (thread 0 only). Entered. true: a handler asked to stop (it
  /// raised).
  [[nodiscard]] virtual bool run_signal_handlers() noexcept = 0;
  /// Stopping is over its time and a call has not returned: flush the logs and end the process,
  /// without the interpreter. Returns only in tests, and where the process is not the server's own
  /// (then the worker goes on waiting for the call). Not entered.
  virtual void end_process(int exit_code) noexcept = 0;
};

}  // namespace iotax::driver
