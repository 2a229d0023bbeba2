// Closes connections: in order, after a time for the client to read its last response, or with a
// reset that shows that the response was truncated. It must not know the reason.
#pragma once

#include <algorithm>
#include <cerrno>

#include "core/connection.h"
#include "driver/env.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/session_table.h"
#include "driver/proof.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E>
class Closing {
 public:
  using Session = driver::Session<E>;

  /// Both are borrowed.
  Closing(LoopBase<E>& loop, SessionTable<E>& table) noexcept : loop_(loop), table_(table) {}

  /// How `s` closes when all its output is sent.
  [[nodiscard]] static core::Closing mode_of(const Session& s) noexcept {
    switch (s.stream.withdrawn) {
      case Withdrawn::before_head:
        return core::Closing::after_flush;
      case Withdrawn::after_head:
        return core::Closing::reset;
      case Withdrawn::no:
      case Withdrawn::complete:
        break;
    }
    return s.link.machine.closing();
  }

  /// All output of `s` is sent: start to close it as mode_of() says. May close it.
  void begin(const Lead& lead, Session& s) {
    const core::Instant now = loop_.clock.now();
    if (mode_of(s) == core::Closing::reset) {
      s.link.phase = Phase::resetting;
      s.link.phase_ends = now + 1s;
      finish_reset(lead, s);
      return;
    }
    // Even if the client has shut down its side: unread input would turn the close into a reset.
    s.link.wire.shutdown_write();
    s.link.phase = Phase::lingering;
    lingering_.renew(s, now);
    s.link.phase_idle = now + loop_.config.limits.linger_idle;
    s.link.phase_ends = now + loop_.config.limits.linger_total;
    if (loop_.mode.stopping != Stopping::no) shorten_linger(lead, s);
  }

  /// While draining, linger at most 1 s: the client has its last response.
  void shorten_linger(const Lead& /*lead*/, Session& s) noexcept {
    s.link.phase_ends = std::min(s.link.phase_ends, loop_.clock.now() + 1s);
  }

  /// The session that has lingered for longest; null: none lingers.
  [[nodiscard]] Session* oldest_lingering(const Lead& /*lead*/) const noexcept {
    return lingering_.oldest();
  }

  /// Discard input that arrives after the last response. May close `s`.
  void discard_input(const Lead& lead, Session& s) {
    const Result<std::size_t> got = s.link.wire.recv(loop_.received);
    if (got && *got > 0) {
      if (s.link.phase == Phase::lingering) {
        s.link.phase_idle = loop_.clock.now() + loop_.config.limits.linger_idle;
      }
      table_.set_timer(lead, s);
      return;
    }
    if (!got && (got.error() == EAGAIN || got.error() == EWOULDBLOCK)) return;
    if (s.link.phase == Phase::resetting) {
      finish_reset(lead, s);
    } else {
      close(lead, s);
    }
  }

  /// The timer of `s`, which is lingering or resetting, fired. May close it.
  void on_timer(const Lead& lead, Session& s) {
    if (s.link.phase == Phase::lingering) {
      close(lead, s);
      return;
    }
    finish_reset(lead, s);
    if (s.link.wire.is_open()) table_.set_timer(lead, s);
  }

  /// The socket is dead in both directions. If the response was truncated, close with a reset, so
  /// that a client that still reads notices.
  void end_dead(const Lead& lead, Session& s) {
    if (s.link.backlogged() || mode_of(s) == core::Closing::reset) {
      reset(lead, s);
    } else {
      close(lead, s);
    }
  }

  /// Close with RST. A FIN before it would make a truncated response look complete.
  void reset(const Lead& lead, Session& s) {
    s.link.phase = Phase::resetting;
    s.link.wire.reset_on_close();
    close(lead, s);
  }

  void close(const Lead& lead, Session& s) {
    if (!s.link.wire.is_open()) return;
    table_.unwatch(lead, s);
    // A child that the application forked may hold a copy of the descriptor, which would keep the
    // connection open.
    if (s.link.phase != Phase::resetting) s.link.wire.shutdown();
    table_.erase(lead, s);
  }

 private:
  /// Close with RST, so that a truncated close-delimited response is not mistaken for a complete
  /// one; but only when the bytes before it are acknowledged, or after a second.
  void finish_reset(const Lead& lead, Session& s) {
    const Result<std::size_t> unacked = s.link.wire.unacked_bytes();
    if (unacked && *unacked > 0 && loop_.clock.now() < s.link.phase_ends) {
      s.link.phase_idle = std::min(s.link.phase_ends, loop_.clock.now() + 5ms);
      return;
    }
    reset(lead, s);
  }

  LoopBase<E>& loop_;
  SessionTable<E>& table_;
  AgeList<Session> lingering_;
};

}  // namespace iotax::driver
