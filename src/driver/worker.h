// One worker: application threads, the spare, and the lead that moves between them (lead.h). A
// thread that leads runs the loop (loop.h) and calls the application inline; the spare takes the
// network over when a call lasts. It must not know the network's details, HTTP or Python.
//
// Who touches what:
//  - the loop and its sessions that are not lent: the holder of the lead;
//  - a lent session: the thread that runs its request, except what session.h names;
//  - under `mutex_`: queue_, idle_, waking_, mail, direct_. It may be taken with the interpreter
//    entered; nobody waits for the interpreter with it held. The inline path never takes it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "driver/application.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/loop/loop.h"
#include "driver/os/sys.h"
#include "driver/proof.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/session/exchange.h"
#include "driver/threads/busy_watch.h"
#include "driver/threads/deadlines.h"
#include "driver/threads/lead.h"
#include "driver/threads/offer.h"

namespace iotax::driver {

/// A snapshot for people and metrics.
struct Status {
  std::size_t connections = 0;
  std::size_t running = 0;
  std::size_t queued = 0;
  std::uint64_t requests = 0;
  unsigned threads = 0;
  bool direct = false;  // calls are slow lately: requests go straight to idle threads
};

template <Env E>
class BasicWorker {
 public:
  using Sys = typename E::Sys;
  using Session = driver::Session<E>;

  /// `config`, `application`, `log` and the memory of `place` are borrowed for the worker's life.
  /// Without a place it has a page of its own.
  BasicWorker(Sys& sys, const Config& config, Application& application, Log& log,
              const LeadTuning& tuning = {}, const std::optional<Place>& place = std::nullopt);
  ~BasicWorker();
  BasicWorker(BasicWorker&&) = delete;

  /// Make poller and pipes. Before anything else; an errno when the system refuses.
  Result<void> open();
  /// A listening, non-blocking descriptor; the worker owns a duplicate of it. Before run().
  Result<void> add_listener(int fd, std::string authority);
  /// The channel to a supervisor (channel.h); the worker owns a duplicate of it. Before run().
  Result<void> add_channel(int fd);
  /// From any thread, and from signal handlers.
  void report(Report what) noexcept { (void)loop_.channel().report(what); }

  /// Serve in the calling thread, which becomes application thread 0, until stopped. Not entered.
  /// An errno when the system refuses; the other threads end.
  Result<void> run();
  /// Be application thread `thread` until the worker has stopped. Not entered.
  void run_thread(unsigned thread);
  /// From any thread, and from signal handlers. `exit_code` is for end_process().
  void stop(Stop how, int exit_code = 0) noexcept;
  /// Non-blocking; a byte other than 0 means "run signal handlers". For signal.set_wakeup_fd().
  [[nodiscard]] int wakeup_fd() const noexcept { return wake_.write; }
  [[nodiscard]] Status status() const noexcept;
  /// In the child of a fork: the worker never runs again there. Its descriptors are closed by
  /// Sys::abandon_in_child().
  void abandon_in_child() noexcept;
  /// The temporary file with the content of the request that `thread` runs; -1: there is none. In
  /// that thread.
  [[nodiscard]] int body_file_of(unsigned thread) noexcept {
    return slots_[thread]->exchange.stored_body_fd();
  }

  // ---- deadlines; the thread that watches them
  /// Wait, without the interpreter, for a call that people or Python should know of. Nothing: the
  /// worker has stopped. Until interpreter_had() the page says that this thread waits for it.
  std::optional<WatchEvent> watch_calls();
  void interpreter_had() noexcept { seat_.wait_for_interpreter({}); }
  /// Answer for the application, if the call is still where `word` says. With the interpreter
  /// entered. False: it has moved on, or was answered already.
  bool expire(unsigned thread, ClaimWord word);
  /// Whether the call of `word` was answered for the application, which is still in it.
  [[nodiscard]] bool expired(unsigned thread, ClaimWord word) const noexcept {
    return slots_[thread]->exchange.claim().taken(word);
  }
  /// No deadline holds for this call: somebody debugs it.
  void suspend(unsigned thread, ClaimWord word) noexcept { deadlines_.suspend(thread, word); }
  /// From any thread.
  void ask_for_replacement(std::string_view why);
  /// Thread `replacement`, which was to take the place of the lost thread `lost`, could not be
  /// started: it counts as lost, and `lost` keeps its place if it comes back. From any thread.
  void replacement_failed(unsigned lost, unsigned replacement);
  /// How many application threads there can ever be.
  [[nodiscard]] unsigned threads_max() const noexcept {
    return static_cast<unsigned>(slots_.size());
  }

  /// How many application threads there are, with those that are to take the place of lost ones.
  [[nodiscard]] unsigned threads_present() {
    const std::lock_guard lock(mutex_);
    return present_;
  }

  // ---- for SessionExchange; by the thread that runs the request of `s`
  BodyRead read_body(unsigned thread, Session& s, std::span<std::byte> into);
  Sent deliver(unsigned thread, Session& s);
  void log_access(Session& s);
  [[nodiscard]] Intake<E>& intake() noexcept { return loop_.intake(); }
  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] core::Instant now() noexcept { return sys_.now(); }
  [[nodiscard]] bool stopping() const noexcept { return stop_.load() != 0; }

 private:
  using Events = std::array<Event, 256>;
  using Exchange = SessionExchange<E, BasicWorker>;
  using Rest = typename Outgoing<E>::Rest;

  /// A thread that did not come back from an overdue call.
  enum class Loss : std::uint8_t { none, lost, replaced };

  struct Expired {
    Session* session;
    Cut when;
    core::Duration age;
  };

  /// One application thread.
  struct alignas(64) Slot {
    Slot(BasicWorker& worker, unsigned thread, Call& on_page)
        : call(on_page), exchange(worker, thread) {}
    Call& call;
    Atomic<E, std::uint32_t> wake{0};  // WakeBits
    Atomic<E, AppLockState> app_lock{AppLockState::out};
    bool entered = false;          // the interpreter is ours for this phase
    bool incoming = false;         // woken for the queue, not yet past the interpreter's door
    core::Instant credit_until{};  // our share of the interpreter after a long wait for it
    LeadWord lent;                 // as stored by the last lend
    std::atomic<std::uint64_t> requests{0};  // written by this thread only
    Loss loss = Loss::none;                  // under the mutex
    Offer<E, Session> offer;                 // with deadlines only
    Exchange exchange;
  };

  // ---- the interpreter
  core::Instant enter(unsigned thread);
  [[nodiscard]] std::optional<core::Instant> enter_for(unsigned thread, Session& s);
  void leave(unsigned thread);
  void leave_unless_credit(unsigned thread);
  [[nodiscard]] bool has_credit(const Slot& slot);
  void step_out(unsigned thread);
  void step_in(unsigned thread);

  // ---- application threads
  void app_loop(unsigned thread, bool leading);
  [[nodiscard]] bool wait_idle(unsigned thread, bool keep_for_grant);
  void run_signal_handlers(unsigned thread);
  void lead_loop(unsigned thread);
  std::size_t wait_for_events(unsigned thread, Events& events);
  [[nodiscard]] bool run_ready(const Lead& lead, unsigned thread);
  [[nodiscard]] bool run(unsigned thread, Session& s, core::Instant called);
  void report_call();
  void finish_late(unsigned thread, Session& s, core::Instant called, bool ours);
  void run_queued(unsigned thread, Session& s);
  void judge(core::Instant called);
  void end_unled(Session& s);
  [[nodiscard]] bool end_if_stopped();
  void end_threads();

  // ---- the exchange's waiting
  void wait_for_room(unsigned thread, Session& s, std::uint32_t seen);
  void send_for_application(Session& s, Rest rest);
  BodyRead take_stored(unsigned thread, Session& s, std::span<std::byte> into);
  void receive_body(unsigned thread, Session& s);
  void wait_for_input(unsigned thread, Session& s);

  // ---- deadlines (worker_deadlines.h)
  void look_at_deadlines(const Lead& lead);
  void look_at_offer(const Lead& lead, unsigned thread, core::Instant now);
  [[nodiscard]] bool refuses_unstarted() const noexcept;
  void refuse_stuck_queue();
  void accept_as_threads_allow();
  void set_deadline_timer(unsigned leading);
  void tell(WatchKind kind, unsigned thread, ClaimWord word, core::Duration age,
            int replacement = -1);
  void lose(unsigned thread, ClaimWord word);
  void give_up(unsigned thread, Session& s);
  [[nodiscard]] bool come_back(unsigned thread);
  [[nodiscard]] bool waits_for_a_thread();

  // ---- the lead
  void lend(const Lead& lead, unsigned thread, Session& s);
  [[nodiscard]] bool take_back(unsigned thread);
  void watch(SpareState wanted);
  void give_up_lead_soon(unsigned thread);
  [[nodiscard]] bool after_network(const Lead& lead, unsigned thread);
  void post(std::vector<Session*>& box, Session& s);
  void read_mail(const Lead& lead);
  void mark(unsigned thread, WakeBits bits);
  void ring(int fd) noexcept;

  // ---- the spare
  void spare_main();
  [[nodiscard]] bool fall_asleep();
  void take_over(LeadWord seen);
  void spare_lead(const Lead& lead);
  [[nodiscard]] bool pass_on(const Lead& lead, std::unique_lock<StateMutex<E>>& lock);
  [[nodiscard]] bool spare_park(const Lead& lead);
  void drain_kicks();
  [[nodiscard]] unsigned grant();
  [[nodiscard]] unsigned pop_idle();
  [[nodiscard]] bool somebody_waits_for_interpreter();
  void hand_to_queue(const Lead& lead);
  void look_if_busy();
  [[nodiscard]] int wake_one();
  void chain(unsigned thread);
  void leave_direct_if_calm();

  Sys& sys_;
  const Config& config_;
  Application& application_;
  Log& log_;
  const LeadTuning tuning_;
  const bool reports_calls_;  // the supervisor wants to hear of them
  const std::unique_ptr<PrivatePage> own_page_;
  const Place place_;
  Seat& seat_;
  Loop<E> loop_;
  PipeEnds wake_;  // rings the poller, whoever leads
  PipeEnds kick_;  // calls the spare out of its parking place

  Atomic<E, LeadWord> lead_{};
  Atomic<E, std::uint32_t> spare_state_{kWatch};
  // The holder of the lead is, or is about to be, blocked in the poller.
  Atomic<E, bool> parked_{false};
  Atomic<E, unsigned> late_{0};       // threads that run a call without the lead
  Atomic<E, std::uint32_t> stop_{0};  // Stop, exit code << 8
  Atomic<E, bool> finished_{false};
  std::atomic<bool> requests_done_{false};
  bool abandoned_ = false;  // in the child of a fork
  SlowShare share_;
  Thread<E> spare_;
  std::vector<std::unique_ptr<Slot>> slots_;  // more than there are threads: some may get lost
  Deadlines<E> deadlines_;
  bool supervised_ = false;
  std::atomic<bool> asked_for_replacement_{false};
  Atomic<E, bool> threads_changed_{
      false};  // one came back or could not start: the loop may not know
  // Threads that still wait for the application lock, for requests that were withdrawn from them.
  Atomic<E, unsigned> stuck_{0};

  // ---- with the lead
  bool ended_process_ = false;  // end_process() was called
  bool many_ = false;           // the last poll brought several events: look again before waiting

  // ---- under the mutex
  StateMutex<E> mutex_;
  Fifo<Session*> queue_;        // ready requests for threads without the lead
  std::vector<unsigned> idle_;  // last in, first out: warm caches
  BusyWatch busy_;
  bool waking_ = false;             // a woken thread is on its way to the interpreter
  std::vector<Session*> writable_;  // mail: watch for room in the socket
  unsigned present_ = 0;            // threads that were started, also the lost
  unsigned lost_ = 0;
  std::vector<Expired> expired_;    // mail: answer for the application
  std::vector<Session*> released_;  // mail: the thread from which it was taken is back
  std::vector<Session*> returned_;  // mail: a request is over, and the leader has something to do
  Atomic<E, std::size_t> queued_{0};
  Atomic<E, bool> mail_{false};
  std::atomic<bool> direct_{false};  // ready requests go straight to idle threads

  // ---- the spare's
  unsigned taken_from_ = 0;
  bool taker_waits_ = false;  // the thread that lost the lead was waiting for the interpreter
  core::Instant has_since_{};
};

}  // namespace iotax::driver

#include "driver/worker_deadlines.h"
#include "driver/worker_impl.h"

namespace iotax::driver {

using Worker = BasicWorker<NativeEnv>;
extern template class BasicWorker<NativeEnv>;

}  // namespace iotax::driver
