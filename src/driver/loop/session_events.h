// Handles one connection: its events, its timer, and the steps of its machine. It must not know
// listeners, threads, or the other connections.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>

#include "core/check.h"
#include "core/connection.h"
#include "driver/env.h"
#include "driver/loop/closing.h"
#include "driver/loop/fifo.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/proxy_gate.h"
#include "driver/loop/session_table.h"
#include "driver/proof.h"
#include "driver/session/intake.h"
#include "driver/session/sender.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E>
class SessionEvents {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed. Sessions whose request can run are lent and added to `ready`.
  SessionEvents(LoopBase<E>& loop, SessionTable<E>& table, Closing<E>& closing, Intake<E>& intake,
                Sender<E>& sender, Fifo<Session*>& ready) noexcept
      : loop_(loop),
        table_(table),
        closing_(closing),
        intake_(intake),
        sender_(sender),
        ready_(ready),
        gate_(loop, table, closing, intake) {}

  /// `s` is new, of a proxy:// listener with this authority. May close it.
  [[gnu::cold]] void expect_proxy_header(const Lead& lead, Session& s, std::string listener) {
    gate_.expect(lead, s, std::move(listener));
  }

  /// The poller reports `event` for `s`.
  void on_event(const Lead& lead, Session& s, const Event& event) {
    if (!s.link.wire.is_open()) return;  // closed earlier in this turn
    if (s.stream.owner.load(std::memory_order_acquire) != Owner::loop) {
      if (on_event_while_lent(lead, s, event)) return;
    }
    if (event.writable) {
      flush_outbox(lead, s);
      // It may be closed now, or lent for the next pipelined request.
      if (!s.link.wire.is_open() || s.stream.owner.load(std::memory_order_relaxed) != Owner::loop)
        return;
    }
    if (!event.readable && !event.hangup && !event.broken) return;
    if (!event.broken && waits_for_reader(s)) {
      sync(lead, s);  // it is still watched for input
      return;
    }
    if (is_paused(s)) {
      sync(lead, s);  // a late thread returned it without mail
      return;
    }
    if (s.link.phase != Phase::open) {
      if (s.link.phase == Phase::proxy_header) {
        receive_proxy_header(lead, s);
      } else {
        closing_.discard_input(lead, s);
      }
    } else if (s.stream.withdrawn != Withdrawn::no) {
      closing_.close(lead, s);  // an error or a hang-up before its last response was sent
    } else {
      receive(lead, s);
    }
  }

  /// The timer of `s` fired.
  void on_timer(const Lead& lead, Session& s) {
    const core::Instant now = loop_.clock.now();
    if (s.stream.owner.load(std::memory_order_acquire) != Owner::loop) {
      if (s.link.interest.write && s.link.outbox->late(now)) {
        warn_slow(s, 0);  // the thread that runs the request may be setting the status
        s.link.cut.store(Cut::for_slowness, std::memory_order_relaxed);
        s.link.disconnected.store(true, std::memory_order_relaxed);
        s.link.wire.shutdown();
        s.link.outbox->clear();
        table_.unwatch(lead, s);
        Owner expected = Owner::lent;
        s.stream.owner.compare_exchange_strong(expected, Owner::surprised,
                                               std::memory_order_acq_rel);
      }
      look_again(s);  // another thread has it
      return;
    }
    if (s.link.phase != Phase::open) {
      if (s.link.phase == Phase::proxy_header) {
        gate_.on_timer(lead, s);
      } else {
        closing_.on_timer(lead, s);
      }
      return;
    }
    if (is_paused(s)) {
      sync(lead, s);  // a late thread returned it without mail
      return;
    }
    if (s.link.backlogged() && s.link.outbox->late(now)) {
      warn_slow(s, s.stream.status);
      s.link.cut.store(Cut::for_slowness, std::memory_order_relaxed);
      closing_.reset(lead, s);
      return;
    }
    if (s.stream.withdrawn != Withdrawn::no) {
      sync(lead, s);
      return;
    }
    if (waits_for_reader(s)) {
      table_.set_timer(lead, s);
      return;
    }
    s.link.machine.on_time(now);
    step(lead, s);
  }

  /// Read once from the socket of `s` and process the input.
  void receive(const Lead& lead, Session& s) {
    const Result<std::size_t> got = s.link.wire.recv(loop_.received);
    if (!got) {
      if (got.error() == EAGAIN || got.error() == EWOULDBLOCK) {
        sync(lead, s);  // unregistered while lent: a late thread has read it and returned it
        return;
      }
      s.link.disconnected.store(true, std::memory_order_relaxed);
      closing_.close(lead, s);
      return;
    }
    s.link.machine.on_time(loop_.clock.now());
    if (*got == 0) {
      s.link.half_closed.store(true, std::memory_order_relaxed);
      s.link.machine.receive_eof();
    } else {
      s.link.machine.receive(std::span(loop_.received).first(*got));
    }
    step(lead, s);
  }

  /// Step the machine of `s` and handle the result. The leader owns `s`.
  void step(const Lead& lead, Session& s) {
    const core::Instant now = loop_.clock.now();
    if (intake_.advance(s, now) == Progress::ready) {
      // If the poller does not watch it for input, it starts as `surprised`: the thread that
      // returns it has to have it registered.
      const bool heard = s.link.in_poller && s.link.interest.read;
      s.stream.owner.store(heard ? Owner::lent : Owner::surprised, std::memory_order_relaxed);
      // A late thread returns it idle without setting a timer, so the current timer must not be
      // later than the end of the keep-alive time.
      const core::Duration keep_alive = loop_.config.limits.keep_alive;
      if (keep_alive > core::Duration::zero() && s.deadline() > now + keep_alive) {
        loop_.timers.set(s, now + keep_alive);
      }
      table_.renew_idle(lead, s);
      ready_.push(&s);
    } else {
      sender_.send_output(lead, s, now);
      sync(lead, s);
    }
  }

  /// Update registration, phase and timer of `s` to match its machine and its output. The leader
  /// owns `s`. May close it.
  void sync(const Lead& lead, Session& s) {
    IOTAX_CHECK(s.stream.owner.load(std::memory_order_relaxed) == Owner::loop);
    if (s.link.disconnected.load(std::memory_order_relaxed)) {
      closing_.end_dead(lead, s);
      return;
    }
    const bool writing = s.link.backlogged();
    const bool paused = is_paused(s);
    if (s.stream.withdrawn == Withdrawn::no)
      s.link.pause_clock(writing || paused, loop_.clock.now());
    if (!writing && s.link.phase == Phase::open && Closing<E>::mode_of(s) != core::Closing::no) {
      closing_.begin(lead, s);
      if (!s.link.wire.is_open()) return;
    }
    // Input before a reset is not read: an end of file would be reported forever.
    const bool reading = s.link.phase == Phase::lingering ||
                         (s.link.phase == Phase::open && s.stream.withdrawn == Withdrawn::no &&
                          s.link.machine.wants_input() && !paused && !waits_for_reader(s));
    table_.watch(lead, s, Interest{reading, writing});
    if (s.link.disconnected.load(std::memory_order_relaxed)) {
      closing_.end_dead(lead, s);
      return;
    }
    const bool idle = SessionTable<E>::is_idle(s);
    if (idle && s.in_list == nullptr) table_.renew_idle(lead, s);
    table_.set_timer(lead, s);
    if (!idle && s.link.phase == Phase::open && s.deadline() != core::kNever) {
      loop_.clock.expect(s.deadline());
    }
  }

  /// Log the request of `s` if its line is held, its call has ended and its response is sent. By
  /// the owner.
  void settle_line(Session& s) {
    if (s.stream.log_line.load(std::memory_order_relaxed) == Line::held) [[unlikely]]
      intake_.access_log().log(s, loop_.clock.now());
  }

  /// sync() for a session that a thread has returned: the leader owns it again.
  void sync_returned(const Lead& lead, Session& s) {
    settle_line(s);
    release_outbox(lead, s);
    if (only_timer_changes(s)) [[likely]] {
      s.link.pause_clock(false, loop_.clock.now());
      table_.set_timer(lead, s);
      return;
    }
    sync(lead, s);  // also after `surprised`: this registers what is missing
    if (!s.link.wire.is_open() || s.link.phase != Phase::open || s.link.backlogged() ||
        s.link.machine.idle())
      return;
    s.link.machine.on_time(loop_.clock.now());
    step(lead, s);  // input that arrived after the request
  }

  /// Close `s` if it is idle, or waits for its PROXY header, and no request has arrived.
  void close_if_idle(const Lead& lead, Session& s) {
    if (s.link.phase == Phase::proxy_header) receive_proxy_header(lead, s);
    if (!s.link.wire.is_open()) return;
    if (SessionTable<E>::is_idle(s)) receive(lead, s);
    if (!s.link.wire.is_open()) return;
    if (SessionTable<E>::is_idle(s) || s.link.phase == Phase::proxy_header) closing_.close(lead, s);
  }

  /// `s` is lent, and its outbox waits for the socket to be writable.
  void watch_writable(const Lead& lead, Session& s) {
    const bool silenced = s.stream.owner.load(std::memory_order_relaxed) == Owner::surprised;
    table_.watch(lead, s, Interest{!silenced, true});
    look_again(s);
  }

 private:
  [[gnu::cold]] void receive_proxy_header(const Lead& lead, Session& s) {
    const auto rest = gate_.receive(lead, s);
    if (!rest) return;
    s.link.machine.receive(*rest);
    step(lead, s);
  }

  static constexpr std::uint64_t kFlushBytesPerTurn = 1U << 20;

  /// Set the timer of `s`, which is lent. A freeze until then would shorten the time that its
  /// client has for unsent output.
  void look_again(Session& s) {
    const core::Instant when = loop_.clock.now() + 1s;
    loop_.timers.set(s, when);
    if (s.link.interest.write) loop_.clock.expect(when);
  }

  /// True: done. False: the session was returned meanwhile, and the leader must handle the event.
  bool on_event_while_lent(const Lead& lead, Session& s, const Event& event) {
    if (event.broken) s.link.disconnected.store(true, std::memory_order_relaxed);
    if (event.hangup) s.link.half_closed.store(true, std::memory_order_relaxed);
    const bool writing = s.link.interest.write;
    if (event.broken) {
      if (writing) s.link.outbox->clear();
    } else if (writing && event.writable) {
      flush_outbox_while_lent(lead, s);
    }
    if (!event.readable && !event.hangup && !event.broken) return true;
    // Stop watching for input. Errors and hang-ups cannot be masked, so remove it from the poller,
    // unless unsent output has to stay watched.
    if (writing && !event.broken && s.link.backlogged()) {
      table_.watch(lead, s, Interest{false, true});
    } else {
      table_.unwatch(lead, s);
    }
    Owner expected = Owner::lent;
    if (s.stream.owner.compare_exchange_strong(expected, Owner::surprised,
                                               std::memory_order_acq_rel)) {
      return true;
    }
    return expected == Owner::surprised;
  }

  void flush_outbox_while_lent(const Lead& lead, Session& s) {
    switch (s.link.outbox->drain(kFlushBytesPerTurn)) {
      case Drained::broken:
        s.link.disconnected.store(true, std::memory_order_relaxed);
        s.link.outbox->clear();
        [[fallthrough]];
      case Drained::empty:
        table_.watch(lead, s, Interest{s.link.interest.read, false});
        break;
      case Drained::blocked:
      case Drained::more:
        break;
    }
  }

  void flush_outbox(const Lead& lead, Session& s) {
    if (!s.link.backlogged()) {
      sync(lead, s);
      return;
    }
    switch (s.link.outbox->drain(kFlushBytesPerTurn)) {
      case Drained::broken:
        closing_.reset(lead, s);
        return;
      case Drained::empty:
        settle_line(s);
        if (s.link.phase == Phase::open && Closing<E>::mode_of(s) == core::Closing::no) {
          release_outbox(lead, s);
          s.link.pause_clock(false, loop_.clock.now());
          s.link.machine.on_time(loop_.clock.now());
          step(lead, s);  // requests that were pipelined after the response
          return;
        }
        break;
      case Drained::blocked:
      case Drained::more:
        break;
    }
    sync(lead, s);
  }

  /// Fast path: only the timer changes; registration and phase are already right.
  [[nodiscard]] bool only_timer_changes(const Session& s) const noexcept {
    return s.link.machine.idle() && !s.link.disconnected.load(std::memory_order_relaxed) &&
           s.link.outbox.get() == nullptr && s.link.phase == Phase::open && s.link.in_poller &&
           s.link.interest.read && !s.link.interest.write && !loop_.mode.paused;
  }

  /// An idle connection uses no memory for an outbox.
  static void release_outbox(const Lead& lead, Session& s) noexcept {
    if (s.link.outbox.get() == nullptr || s.link.backlogged() || !s.link.machine.idle()) return;
    s.link.outbox.release(lead);
  }

  /// Whether `s` is idle and not read because the loop is paused.
  [[nodiscard]] bool is_paused(const Session& s) const noexcept {
    return loop_.mode.paused && SessionTable<E>::is_idle(s);
  }

  /// Whether unsent output of `s` delays its next request: a client that sends requests and does
  /// not read causes no further calls. The body of a request in progress is still read, since a
  /// single thread of the client may both send and read.
  [[nodiscard]] static bool waits_for_reader(const Session& s) noexcept {
    return s.link.phase == Phase::open && s.link.backlogged() && !s.link.machine.reads_content();
  }

  void warn_slow(const Session& s, int status) {
    intake_.warnings().warn(s, status,
                            "the client reads the response too slowly (--send-timeout, --min-rate)",
                            s.stream.line.view());
  }

  LoopBase<E>& loop_;
  SessionTable<E>& table_;
  Closing<E>& closing_;
  Intake<E>& intake_;
  Sender<E>& sender_;
  Fifo<Session*>& ready_;
  ProxyGate<E> gate_;
};

}  // namespace iotax::driver
