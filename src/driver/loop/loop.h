// One turn of the network: reads events, makes requests ready, sends responses, runs timers and
// orders. Passes each event to the object that decides, and computes when the next turn is due. It
// never waits, and it must not know which thread leads (threads/).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "driver/application.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/loop/acceptor.h"
#include "driver/loop/channel.h"
#include "driver/loop/closing.h"
#include "driver/loop/draining.h"
#include "driver/loop/fifo.h"
#include "driver/loop/handover.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/request_queue.h"
#include "driver/loop/self_report.h"
#include "driver/loop/session_events.h"
#include "driver/loop/session_table.h"
#include "driver/loop/statsd_timer.h"
#include "driver/loop/wakeup.h"
#include "driver/os/poller.h"
#include "driver/proof.h"
#include "driver/session/intake.h"
#include "driver/session/sender.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E>
class Loop {
 public:
  using Session = driver::Session<E>;
  using Sys = typename E::Sys;
  using Poller = typename E::Poller;

  /// All are borrowed. `slot`: this worker's slot of the scoreboard.
  Loop(Sys& sys, const Config& config, const Application& application, Log& log, const Slot& slot)
      : base_(sys, config, log, slot),
        wakeup_(sys),
        channel_(sys),
        intake_(sys, config, application, log, slot.gauges()),
        sender_(sys, config, intake_.budget()),
        table_(base_, intake_),
        closing_(base_, table_),
        events_(base_, table_, closing_, intake_, sender_, ready_),
        requests_(base_, table_, events_, intake_, sender_, ready_),
        acceptor_(base_, table_, closing_, events_, intake_.budget(), ready_),
        handover_(base_, table_, closing_, events_, acceptor_, channel_),
        draining_(base_, table_, closing_, events_, acceptor_, handover_),
        report_(base_, table_, acceptor_, intake_.budget()),
        statsd_(base_) {}
  Loop(Loop&&) = delete;

  // ---- begin and end

  /// `wakeup_fd` ends the leader's wait and is borrowed. Errors: those of the poller.
  [[nodiscard]] Result<void> open(int wakeup_fd) {
    base_.clock.begin();
    acceptor_.open();
    if (Result<void> opened = base_.poller.open(base_.sys); !opened) return opened;
    wakeup_.open(wakeup_fd);
    return watch(wakeup_fd, wakeup_);
  }
  /// Takes ownership of the descriptor.
  void add_listener(int fd, std::string authority, ListenerOwner owner,
                    FirstBytes first = FirstBytes::request) {
    acceptor_.add_listener(fd, std::move(authority), owner, first);
  }
  /// Takes ownership of the descriptor, which receives orders and sends reports.
  void add_channel(int fd) {
    base_.sys.own(fd);
    channel_.open(fd);
  }
  /// Start to accept. Errors: those of the poller.
  [[nodiscard]] Result<void> listen() {
    if (channel_.fd() >= 0) {
      if (Result<void> added = watch(channel_.fd(), channel_); !added) return added;
    }
    report_.begin();
    statsd_.begin();
    return acceptor_.listen();
  }
  /// Close every descriptor. No other thread may use the loop any more.
  void close(const Lead& lead) {
    table_.begin_end(lead);
    table_.for_each(lead, [&](Session& s) { closing_.close(lead, s); });
    acceptor_.close();
    channel_.close();
    table_.end_turn(lead);
  }

  // ---- a turn

  /// Query the poller; with a timeout of zero, without waiting. The caller keeps the events and
  /// passes them to process().
  [[nodiscard]] Result<std::size_t> poll(const Lead& /*lead*/, std::span<Event> events,
                                         core::Duration timeout) {
    return base_.poller.wait(events, timeout);
  }
  /// Network input: read, step the machines, make requests ready, send the server's own responses;
  /// then run the timers.
  void process(const Lead& lead, std::span<const Event> events) {
    base_.clock.read();
    dispatch(lead, events);
    // The poller may have returned these events much earlier, and input that arrived since is in
    // time.
    if (base_.timers.next() <= now()) dispatch_pending(lead);
    base_.timers.expire(
        now(), [&](TimerEntry& entry) { events_.on_timer(lead, static_cast<Session&>(entry)); });
    if (acceptor_.wants_tick()) [[unlikely]]
      acceptor_.tick(lead);
    if (now() >= intake_.warnings().due()) intake_.warnings().settle(now());
    if (now() >= handover_.due()) handover_.transfer_idle(lead);
    if (is_stopping()) draining_.tick(lead);
    if (now() >= report_.due()) [[unlikely]]
      report_.report(lead);
    if (now() >= statsd_.due()) [[unlikely]]
      statsd_.send(lead);
    table_.end_turn(lead);
  }
  /// Network output: one send for each session with complete responses.
  void flush(const Lead& lead) {
    requests_.flush(lead);
    if (acceptor_.wants_room()) [[unlikely]]
      acceptor_.tick(lead);
    table_.end_turn(lead);
  }
  /// How long the leader may wait before a timer is due; kForever if none is set.
  [[nodiscard]] core::Duration patience() noexcept {
    const core::Instant next = std::min({base_.timers.next(), queue_due_, busy_due_, deadlines_due_,
                                         intake_.warnings().due(), acceptor_.due(), handover_.due(),
                                         draining_.due(), report_.due(), statsd_.due()});
    const bool timed =
        queue_due_ != core::kNever || deadlines_due_ != core::kNever || is_stopping();
    return base_.clock.wait_until(next, timed);
  }
  [[nodiscard]] typename Poller::Parking park_view() const { return base_.poller.park_view(); }
  /// Wait next to the leader; uses only the poller of the loop (poller.h).
  [[nodiscard]] Result<Parked> park(typename Poller::Parking& view, int kick_fd,
                                    core::Duration timeout) const {
    return base_.poller.park(view, kick_fd, timeout);
  }

  // ---- its parts

  /// Sessions whose request can run.
  [[nodiscard]] Fifo<Session*>& ready() noexcept { return ready_; }
  [[nodiscard]] RequestQueue<E>& requests() noexcept { return requests_; }
  [[nodiscard]] SessionEvents<E>& events() noexcept { return events_; }
  [[nodiscard]] Acceptor<E>& acceptor() noexcept { return acceptor_; }
  [[nodiscard]] const Draining<E>& draining() const noexcept { return draining_; }
  [[nodiscard]] LoopClock<E>& clock() noexcept { return base_.clock; }
  [[nodiscard]] WakeupPipe<E>& wakeup() noexcept { return wakeup_; }
  [[nodiscard]] Channel<E>& channel() noexcept { return channel_; }
  [[nodiscard]] Intake<E>& intake() noexcept { return intake_; }
  [[nodiscard]] SelfReport<E>& report() noexcept { return report_; }
  [[nodiscard]] Sender<E>& sender() noexcept { return sender_; }
  [[nodiscard]] core::Instant now() const noexcept { return base_.clock.now(); }
  /// From any thread.
  [[nodiscard]] std::size_t connections() const noexcept { return table_.size(); }

  // ---- when the leader has to act for the threads

  /// Set since when the oldest queued request has waited (kNever: none waits) and how long a
  /// request may wait (zero: forever).
  void set_queue_since(core::Instant oldest, core::Duration longest) noexcept {
    queue_due_ = oldest == core::kNever || longest <= core::Duration::zero()
                     ? core::kNever
                     : oldest + longest + 1ms;
  }
  /// When to log that all threads are busy; kNever: not at all.
  void set_busy_due(core::Instant due) noexcept { busy_due_ = due; }
  /// When to check the calls in progress; kNever: there are none.
  void set_deadlines_due(core::Instant due) noexcept { deadlines_due_ = due; }

  // ---- stopping

  void stop(const Lead& lead, Stop how) {
    report_.leave(lead);
    if (how != Stop::retire) intake_.server_stops();  // else another worker is ready
    draining_.stop(lead, how);
    table_.end_turn(lead);
  }
  [[nodiscard]] bool is_stopping() const noexcept { return base_.mode.stopping != Stopping::no; }
  /// The most urgent stop ordered since the last call.
  [[nodiscard]] Stop take_ordered() noexcept { return std::exchange(ordered_, Stop::none); }
  /// The process exits while threads still run requests: log these.
  void log_lent(const Lead& lead) {
    table_.for_each(lead, [&](Session& s) {
      if (s.stream.owner.load(std::memory_order_acquire) != Owner::loop)
        intake_.access_log().log_lent(s, now());
    });
  }

 private:
  [[nodiscard]] Result<void> watch(int fd, EventSource& source) {
    return base_.poller.add(fd, &source, Interest{true, false});
  }

  void dispatch(const Lead& lead, std::span<const Event> events) {
    for (const Event& event : events) {
      auto* source = static_cast<EventSource*>(event.token);
      switch (source->kind) {
        case EventSource::Kind::session:
          events_.on_event(lead, *static_cast<Session*>(source), event);
          break;
        case EventSource::Kind::listener:
          acceptor_.on_ready(lead, *static_cast<Listener*>(source));
          break;
        case EventSource::Kind::wakeup:
          wakeup_.read();
          break;
        case EventSource::Kind::channel:
          while (const auto received = channel_.next()) on_order(lead, *received);
          break;
      }
    }
  }

  /// Dispatch everything that has arrived. This many polls report each ready descriptor once.
  void dispatch_pending(const Lead& lead) {
    std::array<Event, 256> events;
    const std::size_t looks = connections() / events.size() + 2;
    for (std::size_t n = 0; n < looks; ++n) {
      const Result<std::size_t> found = base_.poller.wait(events, core::Duration::zero());
      if (!found) return;
      dispatch(lead, std::span(events).first(*found));
      if (*found < events.size()) return;
    }
  }

  void on_order(const Lead& lead, const typename Channel<E>::Received& received) {
    switch (received.order) {
      case Order::retire:
        order_stop(Stop::retire);
        break;
      case Order::drain:
        order_stop(Stop::drain);
        break;
      case Order::interrupt:
        order_stop(Stop::prompt);
        break;
      case Order::now:
        order_stop(Stop::now);
        break;
      case Order::pause:
        handover_.pause(lead);
        break;
      case Order::resume:
        handover_.resume(lead);
        break;
      case Order::transfer:
        handover_.transfer_idle(lead);
        break;
      case Order::adopt:
        if (received.attached >= 0) acceptor_.adopt(lead, received.attached);
        return;
      case Order::reopen:
        base_.log.reopen();
        break;
      case Order::gone:
        base_.poller.remove(channel_.fd());
        channel_.close();
        order_stop(Stop::prompt);
        break;
    }
    if (received.attached >= 0) base_.sys.close(received.attached);
  }

  /// The worker executes the order after the events of this turn.
  void order_stop(Stop how) noexcept { ordered_ = std::max(ordered_, how); }

  LoopBase<E> base_;
  WakeupPipe<E> wakeup_;
  Channel<E> channel_;
  Intake<E> intake_;
  Sender<E> sender_;
  Fifo<Session*> ready_;
  SessionTable<E> table_;
  Closing<E> closing_;
  SessionEvents<E> events_;
  RequestQueue<E> requests_;
  Acceptor<E> acceptor_;
  Handover<E> handover_;
  Draining<E> draining_;
  SelfReport<E> report_;
  StatsdTimer<E> statsd_;
  core::Instant queue_due_ = core::kNever;
  core::Instant busy_due_ = core::kNever;
  core::Instant deadlines_due_ = core::kNever;
  Stop ordered_ = Stop::none;
};

}  // namespace iotax::driver
