// Requests before and after their calls: admits, rejects and completes them, and takes them away
// from a thread. Sends the responses of a turn. It must not know which thread runs a request.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/connection.h"
#include "driver/counters.h"
#include "driver/env.h"
#include "driver/loop/fifo.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/session_events.h"
#include "driver/loop/session_table.h"
#include "driver/proof.h"
#include "driver/session/intake.h"
#include "driver/session/sender.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E>
class RequestQueue {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed.
  RequestQueue(LoopBase<E>& loop, SessionTable<E>& table, SessionEvents<E>& events,
               Intake<E>& intake, Sender<E>& sender, Fifo<Session*>& ready) noexcept
      : loop_(loop),
        table_(table),
        events_(events),
        intake_(intake),
        sender_(sender),
        ready_(ready) {}

  // ---- before the call, by the owner of the session

  /// Whether to call the application for `s`: its client is connected, and it did not wait too
  /// long. If not, the request is rejected or dropped here, and the caller returns the session.
  [[nodiscard]] bool admit(Session& s, core::Instant now) {
    const core::Duration waited = now - s.stream.ready_at;
    const bool disconnected = s.link.disconnected.load(std::memory_order_relaxed) ||
                              (waited > 1s && s.link.half_closed.load(std::memory_order_relaxed));
    if (disconnected) {
      s.link.disconnected.store(true, std::memory_order_relaxed);
      intake_.access_log().log(s, now);
      return false;
    }
    const core::Duration longest = loop_.config.queue_timeout;
    if (longest > core::Duration::zero() && waited > longest) {
      count_here(CounterIndex::kWaited);
      intake_.respond(s, 503, {End::overloaded, "queue_timeout"},
                      "This request waited too long in the queue; try again shortly.",
                      "--queue-timeout");
      return false;
    }
    return true;
  }

  /// 503: the queue is full.
  void reject_queue_full(const Lead& lead, Session& s) {
    reject(lead, s, "queue_full", "Too many requests are waiting; try again shortly.",
           "--max-queued");
  }
  /// 503: the application lock could not be acquired in time.
  void reject_unstarted(const Lead& lead, Session& s) {
    reject(lead, s, "queue_timeout",
           "This request could not be started in time; try again shortly.", "--request-timeout");
  }
  /// 503: no application thread is left.
  void reject_no_thread(const Lead& lead, Session& s) {
    reject(lead, s, "no_thread", "No thread is left to run this request; try again shortly.",
           "--request-timeout");
  }

  // ---- after the call

  /// The request of `s` has ended; its output stays in the session until flush().
  void completed(const Lead& /*lead*/, Session& s) {
    s.stream.body.reset();
    completed_.push_back(&s);
  }

  /// The leader's own thread has finished a request of `s`. A pipelined request after it becomes
  /// the first of those that are ready, so that the responses of a connection are sent together;
  /// otherwise `s` is completed().
  void advance_pipelined(const Lead& lead, Session& s) {
    const core::Instant now = loop_.clock.now();
    s.stream.body.reset();
    s.link.pause_clock(false, now);
    // A file cannot be set aside.
    if (s.link.earlier_output.bytes(lead).size() > kEarlierBytesMax || s.stream.file) {
      sender_.send_output(lead, s, now);
      events_.settle_line(s);
    }
    // Requests wait while there is unsent output before them.
    const bool more = !s.link.machine.idle() && !s.link.backlogged() &&
                      !s.link.disconnected.load(std::memory_order_relaxed);
    if (more) {
      s.link.machine.on_time(now);  // the time of a request begins when its turn comes
    } else {
      s.link.machine.sent(0);  // idle from now on, even if no output was left
    }
    if (!more || intake_.advance(s, now) != Progress::ready) {
      completed_.push_back(&s);
      return;
    }
    if (s.link.earlier_output.empty(lead)) pipelined_.push_back(&s);
    sender_.set_aside(lead, s);
    ready_.push_front(&s);
  }

  /// A thread that did not lead returns `s`.
  void return_session(const Lead& lead, Session& s) {
    sender_.send_output(lead, s, loop_.clock.now());
    give_back(lead, s);
    if (loop_.mode.closing_idle)
      events_.close_if_idle(lead, s);  // the head was sent before the stop
  }

  /// Take `s` from the thread that has run its request for `age` without output: send what is still
  /// possible and close the connection. The session lives until thread_returned(), since the thread
  /// may read it. After a complete response it is an ordinary session.
  void take_away(const Lead& lead, Session& s, Withdrawn how, core::Duration age) {
    if (how == Withdrawn::complete) {
      intake_.access_log().log(s, loop_.clock.now());  // held until the end of the call
      return_session(lead, s);
      return;
    }
    const core::Instant now = loop_.clock.now();
    s.stream.thread_may_read = !s.stream.thread_returned;
    s.link.write_wanted = false;
    sender_.send_earlier(lead, s);
    const std::string option = " for " + std::to_string(age / 1ms) + " ms (--request-timeout)";
    if (how == Withdrawn::before_head) {
      const core::Bytes response = intake_.response_beside(
          s, 504, "The application did not respond to this request in time.",
          "no response from the application" + option);
      sender_.send_beside(lead, s, std::as_bytes(std::span(response.text())));
    } else {
      intake_.warnings().warn(s, s.stream.status,
                              "truncated: no output from the application" + option,
                              s.stream.line.view());
      s.stream.end = End::deadline;
      s.stream.error.assign("deadline");
      intake_.access_log().log(s, now);
    }
    s.stream.withdrawn = how;
    s.stream.owner.store(Owner::loop, std::memory_order_relaxed);
    events_.sync(lead, s);
  }

  /// The thread from which `s` was taken away has returned.
  void thread_returned(const Lead& lead, Session& s) {
    s.stream.thread_returned = true;
    s.stream.thread_may_read = false;
    if (s.stream.withdrawn == Withdrawn::no || s.link.wire.is_open())
      return;  // not taken away yet, or not closed
    table_.thread_returned(lead, s);
  }

  /// One send for each session with complete responses.
  void flush(const Lead& lead) {
    const core::Instant now = loop_.clock.now();
    for (Session* s : completed_) {
      sender_.send_output(lead, *s, now);
      give_back(lead, *s);
    }
    completed_.clear();
    // After the others: a session whose last response is complete has sent everything at once by
    // now.
    for (Session* s : pipelined_) {
      sender_.send_earlier(lead, *s);
      const bool lent = s->stream.owner.load(std::memory_order_relaxed) != Owner::loop;
      if (lent && s->link.backlogged() && s->link.outbox->take_began())
        events_.watch_writable(lead, *s);
    }
    pipelined_.clear();
  }

 private:
  static constexpr std::size_t kEarlierBytesMax = 64 * 1024;

  void reject(const Lead& lead, Session& s, std::string_view error, std::string_view sentence,
              std::string_view option) {
    count_here(CounterIndex::kWaited);
    intake_.respond(s, 503, {End::overloaded, error}, sentence, option);
    completed(lead, s);
  }

  /// The leader owns `s` again, whichever thread ran its request.
  void give_back(const Lead& lead, Session& s) {
    IOTAX_CHECK(s.stream.owner.load(std::memory_order_relaxed) != Owner::loop);
    s.link.write_wanted = false;
    s.stream.owner.store(Owner::loop, std::memory_order_relaxed);
    events_.sync_returned(lead, s);
  }

  LoopBase<E>& loop_;
  SessionTable<E>& table_;
  SessionEvents<E>& events_;
  Intake<E>& intake_;
  Sender<E>& sender_;
  Fifo<Session*>& ready_;
  std::vector<Session*> completed_;
  std::vector<Session*>
      pipelined_;  // lent for the next request, with complete responses in `earlier`
};

}  // namespace iotax::driver
