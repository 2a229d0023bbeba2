// One connection as the driver holds it: descriptor, machine, the request in progress and what
// waits to be sent. It must not know threads (who may touch it is decided in threads/) or what a
// request means.
//
// Ownership: `owner` says who may touch everything else here. `loop`: whoever holds the lead.
// `lent`: the queue, or the thread that runs the request. `surprised`: lent, and an event came
// meanwhile, so the leader has silenced the descriptor; every way back to `loop` has to look for
// it. Exceptions, each with its own rule: `gone`, `cut_off` and `peer_finished` are hints set by
// the leader at any time; `earlier` and the making of `outbox` ask for a proof (proof.h), since the
// taker of the lead sends earlier output while the request behind it runs; `outbox` itself has its
// own lock; `status` may be looked at by the leader.
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

template <Env E>
struct Session : EventSource, TimerEntry, AgeEntry<Session<E>> {
  /// Takes over the descriptor `socket`.
  Session(typename E::Sys& sys, int socket, Peer ends, const core::Limits& limits,
          const core::Policy& policy, core::Instant now)
      : EventSource(Kind::session),
        wire(sys, socket),
        peer(std::move(ends)),
        machine(limits, policy, now) {}

  PlainWire<E> wire;  // closed by the loop
  Peer peer;
  core::Connection machine;
  Session* next = nullptr;  // the loop's list of all sessions
  Session* previous = nullptr;

  Atomic<E, Owner> owner{Owner::loop};
  Atomic<E, bool> gone{false};           // reset, or took nothing for too long
  Atomic<E, bool> peer_finished{false};  // a FIN is behind the request

  // ---- the leader's
  bool in_poller = false;
  Interest interest;  // as registered, while in_poller
  Phase phase = Phase::open;
  core::Instant phase_ends = core::kNever;  // lingering, resetting: the last moment
  Cut cut = Cut::no;  // not `no`: the machine is not touched any more, what it read may still be
  bool still_read = false;                  // a thread from which this was taken may still read it
  bool came_back = false;                   // that thread is back
  core::Instant phase_idle = core::kNever;  // lingering: when nothing came for too long
  RequestLine line;                         // of the request in progress
  EarlierOutput earlier;

  // ---- of the request in progress
  core::Instant ready_at{};
  RequestText id;
  std::string client;  // its address as the application is told; empty: that of `peer`
  /// The request has no line in the access log yet. Whoever takes this away writes the line.
  std::atomic<bool> line_owed{false};
  std::atomic<bool> cut_off{false};    // by a stop: the client has not left by itself
  std::unique_ptr<ByteStore<E>> body;  // buffered content; none when there is none
  std::uint64_t body_taken = 0;        // of it, read by the application
  bool streaming = false;              // the application reads while it arrives
  bool body_ended = false;
  bool behind_earlier = false;  // `earlier` held responses when this request was lent
  UniqueFd file;                // of body_file()
  std::uint64_t file_offset = 0;
  BodyError body_error = BodyError::none;
  /// Of the answer, for the log. 0: no head was given; kNeverSent: one was, behind a stop that had
  /// cut the connection off.
  int status = 0;
  static constexpr int kNeverSent = -1;
  std::uint64_t answer_bytes = 0;

  // ---- answers that the socket did not take at once
  OutboxOnce<E> outbox;
  bool write_wanted = false;  // mail may name it: the leader was asked to watch for room

  /// The client is not to blame for time that passes while nobody takes what it sends, or while it
  /// still takes an answer. By the owner.
  void hold_clock(bool held, core::Instant now) {
    if (held == clock_held_) return;
    clock_held_ = held;
    machine.on_time(now);
    machine.hold_clock(held);
  }

  [[nodiscard]] bool backlogged() const noexcept {
    const Outbox<E>* const waiting = outbox.get();
    return waiting != nullptr && !waiting->empty();
  }

 private:
  bool clock_held_ = false;
};

/// The next bytes of the content that is kept, of which there are some left.
template <Env E>
[[nodiscard]] BodyRead read_stored(Session<E>& s, std::span<std::byte> into) {
  const Result<std::size_t> got = s.body->read_at(s.body_taken, into);
  if (!got || *got == 0) return {0, s.body_error = BodyError::storage};
  s.body_taken += *got;
  return {*got, BodyError::none};
}

}  // namespace iotax::driver
