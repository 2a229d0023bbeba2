// A session: one connection (Link) and the request in progress on it (Stream). It must not know
// threads (threads/ decides who may use it) or what a request means.
//
// Ownership: Stream::owner says who may use everything else. `loop`: the thread with the lead.
// `lent`: the queue, or the thread that runs the request. `surprised`: lent, and an event came
// meanwhile, so the leader has silenced the descriptor; whoever gives the session back looks for
// it. Exceptions: the leader sets disconnected, cut_off and half_closed at any time, as hints;
// earlier output and the making of an outbox ask for a proof (proof.h), since a new leader sends
// earlier output while the request behind it runs; an outbox has its own lock; the leader may read
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

#include "core/check.h"
#include "core/connection.h"
#include "driver/application.h"
#include "driver/env.h"
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

/// A connection's life behind its last answer.
enum class Phase : std::uint8_t {
  open,
  lingering,  // our side is shut down; what still comes is read away, for a bounded time
  resetting,  // waiting until everything is acknowledged before the RST
};

/// How a session was taken from the thread that runs its request: what the client had by then.
enum class Cut : std::uint8_t {
  no,
  unanswered,
  answered,  // the head is out
  complete,  // the whole answer: only close() or the like still runs
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
  /// With its memory, which an assignment would keep.
  void clear(LeadOrLocked /*proof*/) noexcept {
    if (!bytes_.empty()) std::string().swap(bytes_);
  }

 private:
  static constexpr std::size_t kFirstBytes = 2048;

  std::string bytes_;
};

template <Env E>
struct Session;

/// The outbox of a session, once there is one.
template <Env E>
class OutboxOnce {
 public:
  OutboxOnce() = default;
  OutboxOnce(OutboxOnce&&) = delete;
  ~OutboxOnce() { const std::unique_ptr<Outbox<E>> owned(get()); }

  /// Null when there is none. By anybody: the outbox is complete when it can be seen.
  [[nodiscard]] Outbox<E>* get() const noexcept { return outbox_.load(std::memory_order_acquire); }
  Outbox<E>* operator->() const noexcept { return get(); }
  /// The one that is there, or a new one.
  template <class... Arguments>
  Outbox<E>& get_or_make(LeadOrLocked /*proof*/, Arguments&&... arguments) {
    if (Outbox<E>* const there = get()) return *there;
    auto made = std::make_unique<Outbox<E>>(std::forward<Arguments>(arguments)...);
    Outbox<E>* none = nullptr;
    IOTAX_CHECK(outbox_.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel));
    return *made.release();
  }

  /// Of a session that is not lent: nobody else looks at it.
  void release(const Lead& /*lead*/) noexcept {
    const std::unique_ptr<Outbox<E>> owned(outbox_.exchange(nullptr, std::memory_order_acq_rel));
  }

 private:
  Atomic<E, Outbox<E>*> outbox_{nullptr};
};

/// The connection of a session. The leader's, except for what the thread that runs its request
/// sends and reads.
template <Env E>
struct Link {
  /// Takes over the descriptor `socket`.
  Link(typename E::Sys& sys, int socket, Peer ends, const core::Limits& limits,
       const core::Policy& policy, core::Instant now)
      : wire(sys, socket), endpoints(std::move(ends)), machine(limits, policy, now) {}

  PlainWire<E> wire;  // closed by the loop
  Peer endpoints;
  core::Connection machine;
  Session<E>* next = nullptr;  // the list of all sessions
  Session<E>* previous = nullptr;

  Atomic<E, bool> disconnected{false};  // reset, or the client took nothing for too long
  Atomic<E, bool> half_closed{false};   // a FIN is behind the request
  std::atomic<bool> cut_off{false};     // disconnected by a stop, not by the client

  bool in_poller = false;
  Interest interest;  // as registered, while in_poller
  Phase phase = Phase::open;
  core::Instant phase_ends = core::kNever;  // lingering, resetting: the last moment
  core::Instant phase_idle = core::kNever;  // lingering: when nothing came for too long

  EarlierOutput earlier_output;
  OutboxOnce<E> outbox;
  bool write_wanted = false;  // mail may name it: the leader was asked to watch for room

  /// Pause the client's timeouts while the server does not read, or while the client is still
  /// reading a response. By the owner.
  void hold_clock(bool held, core::Instant now) {
    if (held == clock_held_) return;
    clock_held_ = held;
    machine.on_time(now);
    machine.hold_clock(held);
  }

  /// Unsent output waits for the client.
  [[nodiscard]] bool backlogged() const noexcept {
    const Outbox<E>* const waiting = outbox.get();
    return waiting != nullptr && !waiting->empty();
  }

 private:
  bool clock_held_ = false;
};

/// The request in progress of a session, and its response. Lent to the thread that runs it.
template <Env E>
struct Stream {
  Atomic<E, Owner> owner{Owner::loop};

  core::Instant ready_at{};
  RequestLine line;
  RequestText id;
  std::string client;  // its address as the application is told; empty: that of the endpoints
  /// The request has no line in the access log yet. Whoever takes this away writes the line.
  std::atomic<bool> line_owed{false};

  std::unique_ptr<ByteStore<E>> body;  // buffered; null when there is none
  std::uint64_t body_taken = 0;        // of it, read by the application
  bool streaming = false;              // the application reads while it arrives
  bool body_ended = false;
  BodyError body_error = BodyError::none;

  bool has_earlier_output = false;  // there were earlier responses when this request was lent
  UniqueFd file;                    // of body_file()
  std::uint64_t file_offset = 0;
  /// Of the response, for the log. 0: no head was given; kNeverSent: one was, after a stop that had
  /// cut the connection off.
  int status = 0;
  static constexpr int kNeverSent = -1;
  std::uint64_t response_bytes = 0;

  Cut cut = Cut::no;  // not `no`: the machine is not used any more, what it read may still be
  bool thread_may_read = false;  // the thread from which this was taken may still read it
  bool thread_returned = false;  // that thread is back
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

/// The next bytes of the content that is kept, of which there are some left.
template <Env E>
[[nodiscard]] BodyRead read_stored(Session<E>& s, std::span<std::byte> into) {
  Stream<E>& stream = s.stream;
  const Result<std::size_t> got = stream.body->read_at(stream.body_taken, into);
  if (!got || *got == 0) return {0, stream.body_error = BodyError::storage};
  stream.body_taken += *got;
  return {*got, BodyError::none};
}

}  // namespace iotax::driver
