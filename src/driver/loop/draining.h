// The graceful shutdown of a loop: in steps, each with a deadline, until no session is left or the
// graceful timeout is over. It must not know threads, or the origin of the order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

#include "driver/config.h"
#include "driver/env.h"
#include "driver/log/escape.h"
#include "driver/loop/acceptor.h"
#include "driver/loop/closing.h"
#include "driver/loop/handover.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/session_events.h"
#include "driver/loop/session_table.h"
#include "driver/proof.h"

namespace iotax::driver {

template <Env E>
class Draining {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed.
  Draining(LoopBase<E>& loop, SessionTable<E>& table, Closing<E>& closing, SessionEvents<E>& events,
           Acceptor<E>& acceptor, Handover<E>& handover) noexcept
      : loop_(loop),
        table_(table),
        closing_(closing),
        events_(events),
        acceptor_(acceptor),
        handover_(handover) {}

  /// Stop as `how` says, if that is more urgent than the stop in progress.
  void stop(const Lead& lead, Stop how) {
    if (how <= ordered_) return;
    const bool first = ordered_ == Stop::none;
    ordered_ = how;
    loop_.clock.read();
    const core::Instant now = loop_.clock.now();
    if (first) {
      loop_.mode.stopping = Stopping::delayed;
      delay_ends_ = how == Stop::drain ? now + loop_.config.shutdown_delay : now;
    } else if (how == Stop::drain) {
      idle_ends_ = now + kIdleAfterTerm;  // until now idle connections were kept
    }
    if (how != Stop::drain || now >= delay_ends_) begin(lead);
    if (first && how == Stop::prompt && loop_.config.interactive) {
      if (const std::string pending = describe_pending(lead); !pending.empty()) {
        loop_.log.server(Level::info, "Waiting for " + pending + ". Ctrl-C again stops now.");
      }
    }
    if (how == Stop::now) cut_off(lead);
  }

  /// Whether nothing is left to serve.
  [[nodiscard]] bool finished() const noexcept {
    return loop_.mode.stopping >= Stopping::draining && table_.empty();
  }
  /// Whether only application threads have sessions left, for which the loop does not wait.
  [[nodiscard]] bool overdue() const noexcept { return loop_.mode.stopping == Stopping::cut_off; }

  // ---- timers

  [[nodiscard]] core::Instant due() const noexcept {
    return std::min({delay_ends_, idle_ends_, drain_ends_, next_report_});
  }
  void tick(const Lead& lead) {
    const core::Instant now = loop_.clock.now();
    if (now >= delay_ends_) begin(lead);
    if (now >= idle_ends_) {
      idle_ends_ = core::kNever;
      loop_.mode.closing_idle = true;
    }
    if (loop_.mode.closing_idle)
      close_idle(lead);  // in each turn: late threads return sessions without mail
    if (now >= next_report_) {
      if (const std::string pending = describe_pending(lead); !pending.empty()) {
        loop_.log.server(Level::info, "Waiting for " + pending);
      }
      next_report_ = now + kReportEvery;
    }
    if (now >= drain_ends_) cut_off(lead);
  }

 private:
  static constexpr core::Duration kIdleAfterTerm = 2s;
  static constexpr core::Duration kFirstReport = 2s;
  static constexpr core::Duration kReportEvery = 10s;
  static constexpr std::size_t kNamedMax = 5;

  /// Serve the clients in the backlog, refuse later ones, and drain.
  void begin(const Lead& lead) {
    if (loop_.mode.stopping == Stopping::delayed) {
      loop_.mode.stopping = Stopping::draining;
      delay_ends_ = core::kNever;
      handover_.end(lead);
      if (ordered_ != Stop::retire) acceptor_.accept_pending(lead);
      acceptor_.stop(lead);
      table_.for_each(lead, [&](Session& s) {
        if (s.link.phase != Phase::lingering) return;
        closing_.shorten_linger(lead, s);
        table_.set_timer(lead, s);
      });
      const core::Instant now = loop_.clock.now();
      drain_ends_ = now + loop_.config.graceful_timeout;
      next_report_ = now + kFirstReport;
      if (ordered_ != Stop::retire) idle_ends_ = now + kIdleAfterTerm;
    }
    if (ordered_ == Stop::prompt || ordered_ == Stop::now) {
      loop_.mode.closing_idle = true;
      close_idle(lead);
    }
  }

  void close_idle(const Lead& lead) {
    table_.for_each(lead, [&](Session& s) { events_.close_if_idle(lead, s); });
  }

  /// The graceful timeout is over: close every session that no application thread has.
  void cut_off(const Lead& lead) {
    drain_ends_ = core::kNever;
    next_report_ = core::kNever;
    if (loop_.mode.stopping == Stopping::cut_off) return;
    loop_.mode.stopping = Stopping::cut_off;
    if (const std::string pending = describe_pending(lead); !pending.empty()) {
      loop_.log.server(Level::warning, "Stopped waiting for " + pending);
    }
    table_.for_each(lead, [&](Session& s) {
      if (!s.link.disconnected.load(std::memory_order_relaxed)) {
        s.link.cut.store(Cut::by_shutdown, std::memory_order_relaxed);
      }
      s.link.disconnected.store(true, std::memory_order_relaxed);
      if (s.stream.owner.load(std::memory_order_acquire) == Owner::loop) closing_.close(lead, s);
    });
  }

  /// "2 requests (GET /a, 4 s; GET /b, 1 s)"; empty when no request is in progress or unsent.
  [[nodiscard]] std::string describe_pending(const Lead& lead) {
    std::size_t count = 0;
    std::string named;
    table_.for_each(lead, [&](const Session& s) {
      if (s.stream.owner.load(std::memory_order_acquire) == Owner::loop && !s.link.backlogged())
        return;
      ++count;
      if (count > kNamedMax) return;
      if (!named.empty()) named += "; ";
      append_escaped(named, s.stream.line.view());
      named += ", " + std::to_string((loop_.clock.now() - s.stream.ready_at) / 1s) + " s";
    });
    if (count == 0) return {};
    if (count > kNamedMax) named += "; ...";
    return std::to_string(count) + (count == 1 ? " request (" : " requests (") + named + ")";
  }

  LoopBase<E>& loop_;
  SessionTable<E>& table_;
  Closing<E>& closing_;
  SessionEvents<E>& events_;
  Acceptor<E>& acceptor_;
  Handover<E>& handover_;
  Stop ordered_ = Stop::none;
  core::Instant delay_ends_ = core::kNever;
  core::Instant idle_ends_ = core::kNever;
  core::Instant drain_ends_ = core::kNever;
  core::Instant next_report_ = core::kNever;
};

}  // namespace iotax::driver
