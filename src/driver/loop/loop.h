// One turn of the network: events in, requests ready, answers out, timers, accepting, closing.
// Everything here belongs to whoever holds the lead; nothing here waits, and nothing here knows
// which thread that is (worker.h moves the lead).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/connection.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/loop/channel.h"
#include "driver/loop/full_watch.h"
#include "driver/os/poller.h"
#include "driver/os/timers.h"
#include "driver/proof.h"
#include "driver/scoreboard/accept_sharing.h"
#include "driver/session/intake.h"
#include "driver/session/sender.h"
#include "driver/session/session.h"

namespace iotax::driver {

using namespace std::chrono_literals;

/// First in, first out, without a bound of its own: a turn's events, or Config::queued_max, bound
/// it.
template <class T>
class Fifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  void push(T item) { items_.push_back(item); }
  /// Ahead of all others, like one that was popped and comes back.
  void push_front(T item) {
    if (head_ == 0) {
      items_.insert(items_.begin(), item);
    } else {
      items_[--head_] = item;
    }
  }
  [[nodiscard]] T front() const noexcept { return items_[head_]; }
  T pop() noexcept {
    const T item = items_[head_++];
    if (head_ == items_.size()) {
      items_.clear();
      head_ = 0;
    } else if (head_ >= 1024 && head_ * 2 >= items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    return item;
  }

 private:
  std::vector<T> items_;
  std::size_t head_ = 0;
};

struct Listener : EventSource {
  Listener(int descriptor, std::string name)
      : EventSource(Kind::listener), fd(descriptor), authority(std::move(name)) {}
  int fd;
  std::string authority;  // "127.0.0.1:8000", "unix:PATH": for messages
  bool in_poller = false;
};

/// Where stopping stands.
enum class Stopping : std::uint8_t {
  no,
  delayed,   // still accepting, answers say close
  draining,  // listeners closed, what runs may finish
  cut,       // the drain's time is over, or it was asked to stop now
};

template <Env E>
class Loop {
 public:
  using Sys = typename E::Sys;
  using Poller = typename E::Poller;
  using Session = driver::Session<E>;

  Loop(Sys& sys, const Config& config, const Application& application, Log& log, const Place& place)
      : sys_(sys),
        config_(config),
        log_(log),
        sharing_(place),
        intake_(sys, config, application, log),
        outgoing_(sys, config, intake_.budget()),
        channel_(sys) {}
  ~Loop() { close_everything(); }
  Loop(Loop&&) = delete;

  // ---- setting up
  Result<void> open(int wakeup_fd);
  /// Takes the descriptor over.
  void add_listener(int fd, std::string authority);
  /// Takes the descriptor over: orders come from there, reports go there.
  void add_channel(int fd);
  Result<void> listen();

  // ---- a turn
  /// Ask the poller. `timeout` zero: only look. The events stay with the caller until process().
  Result<std::size_t> poll(std::span<Event> events, core::Duration timeout) {
    return poller_.wait(events, timeout);
  }
  /// Network in: receive, step, make requests ready, send the server's own answers.
  void process(const Lead& lead, std::span<const Event> events);
  /// Network out: one send for each session with complete answers that are not sent.
  void flush(const Lead& lead);
  /// How long a poll may wait before a timer is due; kForever when none is.
  [[nodiscard]] core::Duration patience() noexcept;
  /// Read the clock. Time in which this process did not run is left out of it: every deadline moves
  /// by that. By who comes to lead, before anything is judged.
  void look_at_clock();
  [[nodiscard]] typename Poller::Parking park_view() const { return poller_.park_view(); }
  /// Wait beside the holder of the lead; touches nothing of the loop's (poller.h).
  [[nodiscard]] Result<Parked> park(typename Poller::Parking& view, int kick_fd,
                                    core::Duration timeout) const {
    return poller_.park(view, kick_fd, timeout);
  }

  // ---- requests
  Fifo<Session*>& ready() noexcept { return ready_; }
  /// The request of `s` is over and its output lies in the session; flush() sends it.
  void answered(Session& s) {
    s.body.reset();
    answered_.push_back(&s);
  }
  /// A session comes back from a thread that did not lead.
  void take_back(const Lead& lead, Session& s);
  /// A session was taken from the thread that ran its request for `age` without a word: the client
  /// gets what is left to give, and the connection closes. Until release() it lives on, for the
  /// thread may still read it. With Cut::complete it is an ordinary session again.
  void break_off(const Lead& lead, Session& s, Cut how, core::Duration age);
  /// The thread from which `s` was taken is back.
  void release(Session& s);
  /// `s` is lent, and its outbox waits for room in the socket.
  void watch_writable(Session& s);
  /// Go on with what is pipelined behind the answer that `s` has just finished. Either the next
  /// request of `s` is the first that is ready, so that the answers of one connection leave
  /// together, or `s` is answered().
  void advance_behind(const Lead& lead, Session& s);
  /// Whether the request of `s` is still worth running: its client is there, and it did not wait
  /// too long. If not, it is answered or dropped here, and its session is to be given back. By the
  /// owner of `s`.
  bool admit(Session& s, core::Instant now);

  /// 503: the queue is full.
  void turn_away(Session& s);
  /// 503: the application lock could not be had in time to start it.
  void refuse_unstarted(Session& s);
  /// 503: no thread is left.
  void refuse_hopeless(Session& s);

  [[nodiscard]] Intake<E>& intake() noexcept { return intake_; }
  [[nodiscard]] Outgoing<E>& outgoing() noexcept { return outgoing_; }
  [[nodiscard]] core::Instant now() const noexcept { return now_; }
  /// For threads without the lead: now, but not beyond the time at which the leader was to look at
  /// the clock. If it has not looked yet, it may leave out what has passed since, and what a thread
  /// had added to a deadline meanwhile would be left out twice.
  [[nodiscard]] core::Instant noticed_now() noexcept {
    const core::Instant now = sys_.now();
    const core::Instant wakes_at = wakes_at_.load(std::memory_order_relaxed);
    return now - RunningTime::kSlack > wakes_at ? wakes_at : now;
  }
  /// New clients wait until a connection is idle: whoever gives one back tells the leader.
  [[nodiscard]] bool wants_room() const noexcept { return full_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t connections() const noexcept {
    return connections_.load(std::memory_order_relaxed);
  }
  /// Since when the first of the requests waits that were handed to other threads, kNever: none
  /// does; and how long it may. Zero: as long as it takes.
  void set_queue_since(core::Instant oldest, core::Duration patience) noexcept {
    queue_due_ = oldest == core::kNever || patience <= core::Duration::zero()
                     ? core::kNever
                     : oldest + patience + 1ms;
  }
  /// When the leader has something to say about those requests; kNever: it has not.
  void set_busy_due(core::Instant due) noexcept { busy_due_ = due; }
  /// When the leader has to look at what runs; kNever: nothing does.
  void set_deadlines_due(core::Instant due) noexcept { deadlines_due_ = due; }
  /// How many application threads there are. With none, nothing is accepted, and requests are
  /// refused.
  void set_threads(unsigned threads);

  // ---- stopping and signals
  void stop(const Lead& lead, Stop how);
  [[nodiscard]] bool stopped() const noexcept {
    return stopping_ != Stopping::no && stopping_ != Stopping::delayed && sessions_ == nullptr;
  }
  [[nodiscard]] bool overdue() const noexcept { return stopping_ == Stopping::cut; }
  /// The process ends while threads still have requests: their lines in the access log.
  void log_lent();
  /// Signal numbers arrived through the wake-up pipe since the last call.
  bool take_signals() noexcept { return std::exchange(signals_, false); }
  [[nodiscard]] bool has_signals() const noexcept { return signals_; }
  /// They arrived, and who was to run the handlers has come to lead.
  void keep_signals() noexcept { signals_ = true; }
  /// The sharpest stop that was ordered since the last call.
  Stop take_ordered() noexcept { return std::exchange(ordered_, Stop::none); }
  [[nodiscard]] Channel<E>& channel() noexcept { return channel_; }

 private:
  static constexpr std::size_t kAcceptsPerTurn = 64;
  static constexpr std::uint64_t kDrainBytesPerTurn = 1U << 20;
  static constexpr std::size_t kReceiveBytes = 64 * 1024;
  static constexpr core::Duration kIdleAfterTerm = 2s;
  static constexpr core::Duration kHandshake = 2ms;  // of clients nearby, balancers among them
  /// While something is timed that a freeze would shorten, the leader looks so often.
  static constexpr core::Duration kPulse = 100ms;
  /// From one look at the clock to the next wait: 256 calls that end just before a take-over.
  static constexpr core::Duration kLongestTurn = 500ms;
  static constexpr core::Duration kToldFreeze = 5s;

  struct Bell : EventSource {
    Bell() : EventSource(Kind::wakeup) {}
    int fd = -1;
  };

  static constexpr std::size_t kEarlierBytesMax = 64 * 1024;

  enum class Accepting : std::uint8_t { took, skipped, nothing, exhausted, failed };

  void dispatch(const Lead& lead, std::span<const Event> events);
  void look_for_input(const Lead& lead);
  [[nodiscard]] bool needs_pulse() const noexcept;
  void on_wakeup();
  void on_channel();
  void on_order(const typename Channel<E>::Received& received);
  void on_listener(const Lead& lead, Listener& listener);
  [[nodiscard]] bool room_for_connection() const noexcept;
  Accepting accept_one(Listener& listener);
  void open_session(const Accepted& accepted);
  void on_session(const Lead& lead, Session& s, const Event& event);
  bool on_event_while_lent(Session& s, const Event& event);
  void receive(const Lead& lead, Session& s);
  void step(const Lead& lead, Session& s);
  void discard(Session& s);
  [[nodiscard]] bool at_rest(const Session& s) const noexcept;
  void release_outbox(const Lead& lead, Session& s) noexcept;
  void give_back(const Lead& lead, Session& s);
  void drain(const Lead& lead, Session& s);
  void drain_while_lent(Session& s);
  void settle(Session& s);
  [[nodiscard]] static bool waits_for_reader(const Session& s) noexcept;
  [[nodiscard]] static core::Closing closing_of(const Session& s) noexcept;
  void begin_closing(Session& s);
  void linger_less(Session& s);
  void finish_reset(Session& s);
  void end_gone(Session& s);
  void break_off_now(Session& s);
  void register_as(Session& s, Interest interest);
  void deregister(Session& s);
  void close(Session& s);
  void drop(Session& s);
  void set_timer(Session& s);
  void run_timers(const Lead& lead);
  void on_timer(const Lead& lead, Session& s);
  void warn_slow(const Session& s, int status);
  void ignore(Listener& listener);
  void pause_accepting(Listener& listener, core::Duration pause);
  void resume_accepting();
  [[nodiscard]] Session* make_room(const Lead& lead);
  [[nodiscard]] Session* oldest_idle();
  void look_for_room();
  void say_full(FullWatch::What what, std::string_view consequence);
  void say_refused(core::Duration pause);
  [[nodiscard]] bool is_idle(const Session& s) const noexcept;
  void on_loop_timers(const Lead& lead);
  void hold();
  void go_on();
  void pass_idle();
  void settle_idle();
  [[nodiscard]] bool is_held(const Session& s) const noexcept;
  void adopt(int fd);
  void begin_draining(const Lead& lead);
  void accept_the_last();
  void let_go(Listener& listener);
  void close_idle(const Lead& lead);
  void close_if_idle(const Lead& lead, Session& s);
  void cut();
  void report_drain();
  [[nodiscard]] std::string held_up();
  void close_everything();

  Sys& sys_;
  const Config& config_;
  Log& log_;
  Sharing sharing_;
  Intake<E> intake_;
  Outgoing<E> outgoing_;
  Poller poller_;
  Timers timers_;
  Bell bell_;
  Channel<E> channel_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Fifo<Session*> ready_;
  std::vector<Session*> answered_;
  std::vector<Session*> behind_;  // lent for the next request, with complete answers in `earlier`
  std::vector<std::unique_ptr<Session>> held_;  // closed, but a thread may still read them
  std::vector<std::unique_ptr<Session>>
      doomed_;  // closed in this turn: events of the same turn may still name them
  Session* sessions_ = nullptr;
  std::atomic<std::size_t> connections_{0};
  std::size_t connections_max_ = 0;
  AgeList<Session> idle_;       // and others, which oldest_idle() sorts out
  AgeList<Session> lingering_;  // each has its last answer
  FullWatch full_watch_;
  std::atomic<bool> full_{false};  // accepting pauses until a connection can make room
  int accept_error_ = 0;           // of the last accept() that failed
  core::Instant now_{};
  // When the leader was to look at the clock again: written by the leader, read by all.
  std::atomic<core::Instant> wakes_at_{core::kNever};
  core::Instant timed_until_{};  // until then something may be timed besides idleness
  bool signals_ = false;
  std::array<std::byte, kReceiveBytes> scratch_;

  core::Instant accept_again_ = core::kNever;
  core::Instant queue_due_ = core::kNever;
  core::Instant busy_due_ = core::kNever;
  core::Instant deadlines_due_ = core::kNever;
  unsigned threads_ = 1;
  bool holding_ = false;
  core::Instant pass_again_ = core::kNever;  // the channel was full
  Stop ordered_ = Stop::none;
  Stop asked_ = Stop::none;
  Stopping stopping_ = Stopping::no;
  core::Instant delay_ends_ = core::kNever;
  core::Instant idle_ends_ = core::kNever;
  bool closing_idle_ = false;
  core::Instant drain_ends_ = core::kNever;
  core::Instant next_report_ = core::kNever;
  bool closing_everything_ = false;  // no longer serving: what closes now is in no log
};

}  // namespace iotax::driver

#include "driver/loop/loop_impl.h"
