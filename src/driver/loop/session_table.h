// The sessions of a loop with their registrations and timers. It must not know HTTP, or why a
// session closes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/check.h"
#include "driver/endpoints.h"
#include "driver/env.h"
#include "driver/loop/loop_base.h"
#include "driver/proof.h"
#include "driver/session/age_list.h"
#include "driver/session/intake.h"
#include "driver/session/session.h"

namespace iotax::driver {

/// Owns every session. For the leader, except size().
template <Env E>
class SessionTable {
 public:
  using Session = driver::Session<E>;

  /// Both are borrowed.
  SessionTable(LoopBase<E>& loop, Intake<E>& intake) noexcept : loop_(loop), intake_(intake) {}
  SessionTable(SessionTable&&) = delete;
  ~SessionTable() { IOTAX_CHECK(empty()); }

  /// Create a session for a connection. It is not watched yet.
  Session& open(const Lead& /*lead*/, const Accepted& accepted) {
    intake_.budget().descriptors.add();
    const Result<SocketAddress> local = loop_.sys.getsockname(accepted.fd);
    auto made = std::make_unique<Session>(loop_.sys, accepted.fd,
                                          peer_of(accepted.peer, local ? *local : SocketAddress{}),
                                          intake_.limits(), intake_.policy(), loop_.clock.now());
    Session& s = *made.release();  // the list owns it until erase()
    s.link.next = first_;
    if (first_ != nullptr) first_->link.previous = &s;
    first_ = &s;
    ++size_;
    return s;
  }

  /// Close the descriptor of `s`, which is not watched any more. The session lives until
  /// end_turn(), since events of this turn may refer to it; if a thread may still read it, until
  /// thread_returned().
  void erase(const Lead& /*lead*/, Session& s) {
    if (!ending_) intake_.log_without_response(s);
    loop_.timers.remove(s);
    idle_.remove(s);
    s.link.wire.close();
    if (s.link.previous != nullptr) {
      IOTAX_CHECK(s.link.previous->link.next == &s);
      s.link.previous->link.next = s.link.next;
    } else {
      IOTAX_CHECK(first_ == &s);
      first_ = s.link.next;
    }
    if (s.link.next != nullptr) s.link.next->link.previous = s.link.previous;
    if (s.link.outbox.get() != nullptr)
      s.link.outbox->clear();  // the session may live longer for its thread
    --size_;
    has_erased_ = true;
    intake_.budget().descriptors.remove();
    (s.stream.thread_may_read ? orphans_ : erased_).emplace_back(&s);
  }

  /// Whether sessions were erased since the last take_erased().
  [[nodiscard]] bool has_erased() const noexcept { return has_erased_; }
  [[nodiscard]] bool take_erased() noexcept {
    return has_erased_ && std::exchange(has_erased_, false);
  }

  /// The thread that could still read `s` has returned.
  void thread_returned(const Lead& /*lead*/, Session& s) {
    std::erase_if(orphans_,
                  [&](const std::unique_ptr<Session>& orphan) { return orphan.get() == &s; });
  }

  /// Events do not refer to erased sessions any more.
  void end_turn(const Lead& /*lead*/) noexcept { erased_.clear(); }

  /// Shut down: sessions that close from now on are not logged, and no thread reads them.
  void begin_end(const Lead& /*lead*/) noexcept {
    ending_ = true;
    orphans_.clear();
  }

  // ---- registrations and timers

  /// Have the poller report the events of `interest`. If the kernel refuses, mark `s` as
  /// disconnected: it would never get an event.
  void watch(const Lead& lead, Session& s, Interest interest) {
    if (s.link.in_poller && s.link.interest.read == interest.read &&
        s.link.interest.write == interest.write) {
      return;
    }
    if (!interest.read && !interest.write) {
      unwatch(lead, s);
      return;
    }
    EventSource* source = &s;
    const Result<void> done = s.link.in_poller
                                  ? loop_.poller.modify(s.link.wire.fd(), source, interest)
                                  : loop_.poller.add(s.link.wire.fd(), source, interest);
    if (!done) {
      s.link.disconnected.store(true, std::memory_order_relaxed);
      unwatch(lead, s);
      return;
    }
    s.link.in_poller = true;
    s.link.interest = interest;
  }

  void unwatch(const Lead& /*lead*/, Session& s) {
    if (!s.link.in_poller) return;
    loop_.poller.remove(s.link.wire.fd());
    s.link.in_poller = false;
    s.link.interest = Interest{};
  }

  /// Set the timer of `s` to the earliest of its deadlines.
  void set_timer(const Lead& /*lead*/, Session& s) {
    core::Instant due;
    if (s.link.phase != Phase::open) {
      due = std::min(s.link.phase_ends, s.link.phase_idle);
    } else {
      due = s.stream.withdrawn == Withdrawn::no ? s.link.machine.deadline() : core::kNever;
      if (s.link.backlogged()) due = std::min(due, s.link.outbox->deadline());
    }
    loop_.timers.set(s, due);
  }

  // ---- the sessions

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  /// Thread-safe.
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  /// Call f(session) for each; it may erase that session. If f returns bool, false ends the
  /// iteration and is the result.
  template <class F>
  bool for_each(const Lead& /*lead*/, F f) {
    for (Session* s = first_; s != nullptr;) {
      Session* const following = s->link.next;
      if constexpr (std::is_void_v<decltype(f(*s))>) {
        f(*s);
      } else if (!f(*s)) {
        return false;
      }
      s = following;
    }
    return true;
  }

  /// Whether `s` is open, without a request in progress or unsent output.
  [[nodiscard]] static bool is_idle(const Session& s) noexcept {
    return s.stream.owner.load(std::memory_order_acquire) == Owner::loop &&
           s.link.phase == Phase::open && !s.link.backlogged() && s.link.machine.idle();
  }

  /// `s` is idle now or will be soon: oldest_idle() skips those that are not.
  void renew_idle(const Lead& /*lead*/, Session& s) noexcept { idle_.renew(s, loop_.clock.now()); }

  /// The session that has been idle for longest; null: none is idle. Constant time on average: this
  /// removes a session that is not idle from the list, and sync() adds it again when it is; a
  /// session that a thread runs moves to the end, and to its right position if the call was long.
  [[nodiscard]] Session* oldest_idle(const Lead& /*lead*/) noexcept {
    static constexpr core::Duration kLongCall = 100ms;
    Session* last = idle_.youngest();
    bool moved = false;  // an idle session, perhaps after `last`
    while (Session* const s = idle_.oldest()) {
      const bool at_end = s == last;
      if (s->stream.owner.load(std::memory_order_acquire) != Owner::loop) {
        idle_.renew(*s, loop_.clock.now());
      } else if (!is_idle(*s)) {
        idle_.remove(*s);
      } else if (s->link.machine.idle_since() > s->listed_at + kLongCall) {
        idle_.insert(*s, s->link.machine.idle_since());
        moved = true;
      } else {
        return s;
      }
      if (!at_end) continue;
      if (!std::exchange(moved, false)) return nullptr;
      last = idle_.youngest();
    }
    return nullptr;
  }

 private:
  LoopBase<E>& loop_;
  Intake<E>& intake_;
  Session* first_ = nullptr;
  std::atomic<std::size_t> size_{0};
  AgeList<Session> idle_;
  std::vector<std::unique_ptr<Session>> erased_;   // in this turn
  std::vector<std::unique_ptr<Session>> orphans_;  // erased, but a thread may still read them
  bool has_erased_ = false;
  bool ending_ = false;
};

}  // namespace iotax::driver
