// A session: one connection (Link) and the request in progress on it (Stream). It must not know
// threads (threads/ decides who may use it) or what a request means.
//
// Ownership: Stream::owner says which thread may use everything else. `loop`: the leader. `lent`:
// the queue, or the thread that runs the request. `surprised`: lent, and the leader has
// unregistered the descriptor because of an event meanwhile; the thread that returns the session
// checks for it. Exceptions: the leader sets disconnected, cut and half_closed at any time, as
// hints; earlier output and the creation of an outbox require a proof (proof.h), since a new leader
// sends earlier output while the next request runs; an outbox has its own lock; the leader may read
// status.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/connection.h"
#include "core/proxy_header.h"
#include "driver/application.h"
#include "driver/env.h"
#include "driver/log/access_line.h"
#include "driver/log/held_entry.h"
#include "driver/os/event_source.h"
#include "driver/os/poller.h"
#include "driver/os/timers.h"
#include "driver/proof.h"
#include "driver/scoreboard/short_text.h"
#include "driver/session/age_list.h"
#include "driver/store/byte_store.h"
#include "driver/store/outbox.h"
#include "driver/wire.h"

namespace iotax::driver {

enum class Owner : std::uint8_t { loop, lent, surprised };

/// State of a connection, after its last response and before its first request.
enum class Phase : std::uint8_t {
  open,
  lingering,     // our side is shut down; input is discarded for a bounded time
  resetting,     // waiting until all output is acknowledged before sending RST
  proxy_header,  // waiting for it; the machine has received nothing
};

/// Who disconnected a connection.
enum class Cut : std::uint8_t {
  by_client,
  for_slowness,  // of the client
  by_shutdown,
};

/// Whether a request still needs its line in the access log.
enum class Line : std::uint8_t {
  none,
  owed,
  held,  // as Stream::held: it waits for the end of the call, or until the response is sent
};

/// How a session was taken from the thread that runs its request: what had been sent by then.
enum class Withdrawn : std::uint8_t {
  no,
  before_head,
  after_head,
  complete,  // the complete response: only close() or the like still runs
};

/// Complete responses to the requests before the one that runs.
class EarlierOutput {
 public:
  [[nodiscard]] bool empty(LeadOrLocked /*proof*/) const noexcept { return bytes_.empty(); }
  [[nodiscard]] std::span<const std::byte> bytes(LeadOrLocked /*proof*/) const noexcept {
    return std::as_bytes(std::span(bytes_));
  }
  void append(LeadOrLocked /*proof*/, std::span<const std::byte> more) {
    if (bytes_.empty()) bytes_.reserve(kFirstBytes);
    bytes_.append(reinterpret_cast<const char*>(more.data()), more.size());
  }
  /// Release the memory too; an assignment would keep it.
  void clear(LeadOrLocked /*proof*/) noexcept {
    if (!bytes_.empty()) std::string().swap(bytes_);
  }

 private:
  static constexpr std::size_t kFirstBytes = 2048;

  std::string bytes_;
};

template <Env E>
struct Session;

/// The outbox of a session, created on first use.
template <Env E>
class OutboxOnce {
 public:
  OutboxOnce() = default;
  OutboxOnce(OutboxOnce&&) = delete;
  ~OutboxOnce() { const std::unique_ptr<Outbox<E>> owned(get()); }

  /// Null before it is created. Thread-safe: the outbox is complete when it becomes visible.
  [[nodiscard]] Outbox<E>* get() const noexcept { return outbox_.load(std::memory_order_acquire); }
  Outbox<E>* operator->() const noexcept { return get(); }
  /// Return the outbox; create it if there is none.
  template <class... Arguments>
  Outbox<E>& get_or_make(LeadOrLocked /*proof*/, Arguments&&... arguments) {
    if (Outbox<E>* const there = get()) return *there;
    auto made = std::make_unique<Outbox<E>>(std::forward<Arguments>(arguments)...);
    Outbox<E>* none = nullptr;
    IOTAX_CHECK(outbox_.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel));
    return *made.release();
  }

  /// For a session that is not lent: no other thread uses it.
  void release(const Lead& /*lead*/) noexcept {
    const std::unique_ptr<Outbox<E>> owned(outbox_.exchange(nullptr, std::memory_order_acq_rel));
  }

 private:
  Atomic<E, Outbox<E>*> outbox_{nullptr};
};

/// The reader of a connection that has not sent its PROXY header yet.
struct ExpectedHeader {
  core::ProxyReader reader;
  std::string listener;  // its authority, for the log
};

/// The connection of a session. Belongs to the leader, except for what the thread that runs the
/// request sends and reads.
template <Env E>
struct Link {
  /// Takes over the descriptor `socket`.
  Link(typename E::Sys& sys, int socket, Peer ends, const core::Limits& limits,
       const core::Policy& policy, core::Instant now)
      : wire(sys, socket), endpoints(std::move(ends)), machine(limits, policy, now) {}

  PlainWire<E> wire;  // closed by the loop
  Peer endpoints;
  core::Connection machine;
  std::unique_ptr<ExpectedHeader> expected_header;  // Phase::proxy_header
  Session<E>* next = nullptr;                       // the list of all sessions
  Session<E>* previous = nullptr;

  Atomic<E, bool> disconnected{false};  // reset, or the client took nothing for too long
  Atomic<E, bool> half_closed{false};   // a FIN follows the request
  std::atomic<Cut> cut{Cut::by_client};

  bool in_poller = false;
  Interest interest;  // as registered, while in_poller
  Phase phase = Phase::open;
  core::Instant phase_ends = core::kNever;  // if it is not open: the deadline
  core::Instant phase_idle = core::kNever;  // lingering: the deadline for input

  EarlierOutput earlier_output;
  OutboxOnce<E> outbox;
  bool write_wanted = false;     // the leader was asked to watch for writability; mail may name it
  std::uint64_t lost_bytes = 0;  // output that was dropped before it was in the outbox

  /// Pause the client's timeouts while the server does not read, or while the client is still
  /// reading a response. By the owner.
  void pause_clock(bool held, core::Instant now) {
    if (held == clock_held_) return;
    clock_held_ = held;
    machine.on_time(now);
    machine.pause_clock(held);
  }

  /// Whether there is unsent output.
  [[nodiscard]] bool backlogged() const noexcept {
    const Outbox<E>* const waiting = outbox.get();
    return waiting != nullptr && !waiting->empty();
  }
  /// How many bytes of output are not sent, or never will be.
  [[nodiscard]] std::uint64_t unsent_bytes() const noexcept {
    const Outbox<E>* const waiting = outbox.get();
    return lost_bytes + (waiting == nullptr ? 0 : waiting->unsent_bytes());
  }

 private:
  bool clock_held_ = false;
};

/// The request in progress of a session, and its response. Lent to the thread that runs it.
template <Env E>
struct Stream {
  Atomic<E, Owner> owner{Owner::loop};

  core::Instant began_at{};  // its first byte arrived
  core::Instant ready_at{};
  core::Instant called_at = core::kNever;  // kNever: the application was not called
  RequestLine line;
  RequestText id;
  TraceParent trace;   // empty: none, or no log names it
  std::string client;  // client address as the application sees it; empty: that of the endpoints
  /// The thread that sets this to `none` writes the access log line.
  std::atomic<Line> log_line{Line::none};
  std::unique_ptr<HeldEntry> held;        // Line::held
  std::vector<CollectedValue> collected;  // for the line; of AccessFormat::collected()
  End end = End::complete;
  bool server_responds = false;  // in place of the application
  ErrorText error;               // AccessEntry::error

  std::unique_ptr<ByteStore<E>> body;  // buffered body; null when there is none
  std::uint64_t body_taken = 0;        // bytes of it that the application has read
  std::uint64_t request_bytes = 0;     // of the body, received so far
  bool streaming = false;              // the application reads the body while it arrives
  bool body_ended = false;
  BodyError body_error = BodyError::none;

  bool has_earlier_output = false;  // there were earlier responses when this request was lent
  UniqueFd file;                    // of body_file()
  std::uint64_t file_offset = 0;
  /// Status of the response, for the log. 0: none was given; kNeverSent: given after a shutdown had
  /// cut the connection off.
  int status = 0;
  static constexpr int kNeverSent = -1;
  std::uint64_t response_bytes = 0;

  Withdrawn withdrawn =
      Withdrawn::no;  // if not `no`, the machine is not used any more; its input may still be
  bool thread_may_read = false;  // the thread that lost this session may still read it
  bool thread_returned = false;  // that thread has returned
};

/// HTTP/1 has one stream per link, and lends both together.
template <Env E>
struct Session : EventSource, TimerEntry, AgeEntry<Session<E>> {
  Session(typename E::Sys& sys, int socket, Peer ends, const core::Limits& limits,
          const core::Policy& policy, core::Instant now)
      : EventSource(Kind::session), link(sys, socket, std::move(ends), limits, policy, now) {}

  Link<E> link;
  Stream<E> stream;
};

/// The next stored body bytes; at least one is left.
template <Env E>
[[nodiscard]] BodyRead read_stored(Session<E>& s, std::span<std::byte> into) {
  Stream<E>& stream = s.stream;
  const Result<std::size_t> got = stream.body->read_at(stream.body_taken, into);
  if (!got || *got == 0) return {0, stream.body_error = BodyError::storage};
  stream.body_taken += *got;
  return {*got, BodyError::none};
}

}  // namespace iotax::driver
