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
#include "driver/busy.h"
#include "driver/config.h"
#include "driver/lead.h"
#include "driver/log.h"
#include "driver/loop.h"
#include "driver/page.h"
#include "driver/poller_epoll.h"
#include "driver/session_exchange.h"
#include "driver/sys.h"

namespace iotax::driver {

/// A snapshot for people and metrics.
struct Status {
  std::size_t connections = 0;
  std::size_t running = 0;
  std::size_t queued = 0;
  std::uint64_t requests = 0;
  unsigned threads = 0;
};

template <class Sys, class Poller>
class BasicWorker {
 public:
  using Session = driver::Session<Sys>;
  using Mutex = typename Sys::Mutex;

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
  Result<void> run();
  /// Be application thread `thread` until the worker has stopped. Not entered.
  void run_thread(unsigned thread);
  /// From any thread, and from signal handlers. `exit_code` is for end_process().
  void stop(Stop how, int exit_code = 0) noexcept;
  /// Non-blocking; a byte other than 0 means "run signal handlers". For signal.set_wakeup_fd().
  [[nodiscard]] int wakeup_fd() const noexcept { return wake_.write; }
  [[nodiscard]] Status status() const noexcept;
  /// In the child of a fork: close every descriptor of the worker; it never runs again there.
  void abandon_in_child() noexcept;

  // ---- for SessionExchange; by the thread that runs the request of `s`
  BodyRead read_body(unsigned thread, Session& s, std::span<std::byte> into);
  Sent deliver(unsigned thread, Session& s);
  void log_access(Session& s);
  [[nodiscard]] Intake<Sys>& intake() noexcept { return loop_.intake(); }
  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] bool stopping() const noexcept { return stop_.load() != 0; }

 private:
  using Events = std::array<Event, 256>;
  using Exchange = SessionExchange<BasicWorker>;

  /// One application thread.
  struct alignas(64) Slot {
    Slot(BasicWorker& worker, unsigned thread, Call& on_page)
        : call(on_page), exchange(worker, thread) {}
    Call& call;
    std::atomic<std::uint32_t> wake{0};  // WakeBits
    std::atomic<Gil> gil{Gil::out};
    bool entered = false;          // the interpreter is ours for this phase
    bool incoming = false;         // woken for the queue, not yet past the interpreter's door
    core::Instant credit_until{};  // our share of the interpreter after a long wait for it
    LeadWord lent;                 // as stored by the last lend
    std::atomic<std::uint64_t> requests{0};  // written by this thread only
    Exchange exchange;
  };

  // ---- the interpreter
  core::Instant enter(unsigned thread);
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
  [[nodiscard]] bool run_ready(unsigned thread);
  void run(unsigned thread, Session& s, core::Instant called);
  void report_if_done();
  void finish_late(unsigned thread, Session& s, core::Instant called);
  void run_queued(unsigned thread, Session& s);
  void judge(core::Instant called);
  void end_unled(Session& s);
  [[nodiscard]] bool end_if_stopped();

  // ---- the exchange's waiting
  void send_for_application(Session& s);
  BodyRead take_stored(unsigned thread, Session& s, std::span<std::byte> into);
  void receive_body(unsigned thread, Session& s);
  void wait_for_input(unsigned thread, Session& s);

  // ---- the lead
  void lend(unsigned thread, Session& s);
  [[nodiscard]] bool take_back(unsigned thread);
  void watch(SpareState wanted);
  void give_up_lead_soon(unsigned thread);
  [[nodiscard]] bool after_network(unsigned thread);
  void post(std::vector<Session*>& box, Session& s);
  void read_mail();
  void mark(unsigned thread, WakeBits bits);
  void ring(int fd) noexcept;

  // ---- the spare
  void spare_main();
  [[nodiscard]] bool fall_asleep();
  void take_over(LeadWord seen);
  void spare_lead();
  [[nodiscard]] bool pass_on(std::unique_lock<Mutex>& lock);
  [[nodiscard]] bool spare_park();
  void drain_kicks();
  [[nodiscard]] unsigned grant();
  [[nodiscard]] unsigned pop_idle();
  [[nodiscard]] bool somebody_waits_for_interpreter();
  void hand_to_queue();
  void look_if_busy();
  [[nodiscard]] int wake_one();
  void chain(unsigned thread);
  void leave_direct_if_calm();

  Sys& sys_;
  const Config& config_;
  Application& application_;
  Log& log_;
  const LeadTuning tuning_;
  const std::unique_ptr<PrivatePage> own_page_;
  const Place place_;
  Seat& seat_;
  Loop<Sys, Poller> loop_;
  PipeEnds wake_;  // rings the poller, whoever leads
  PipeEnds kick_;  // calls the spare out of its parking place

  std::atomic<LeadWord> lead_{};
  std::atomic<std::uint32_t> spare_state_{kWatch};
  // The holder of the lead is, or is about to be, blocked in the poller.
  std::atomic<bool> parked_{false};
  std::atomic<unsigned> late_{0};       // threads that run a call without the lead
  std::atomic<std::uint32_t> stop_{0};  // Stop, exit code << 8
  std::atomic<bool> finished_{false};
  std::atomic<bool> requests_done_{false};
  bool abandoned_ = false;  // in the child of a fork
  SlowShare share_;
  typename Sys::Thread spare_;
  std::vector<std::unique_ptr<Slot>> slots_;

  // ---- with the lead
  bool ended_process_ = false;  // end_process() was called
  bool many_ = false;           // the last poll brought several events: look again before waiting

  // ---- under the mutex
  Mutex mutex_;
  Fifo<Session*> queue_;        // ready requests for threads without the lead
  std::vector<unsigned> idle_;  // last in, first out: warm caches
  BusyWatch busy_;
  bool waking_ = false;             // a woken thread is on its way to the interpreter
  std::vector<Session*> writable_;  // mail: watch for room in the socket
  std::vector<Session*> returned_;  // mail: a request is over, and the leader has something to do
  std::atomic<std::size_t> queued_{0};
  std::atomic<bool> mail_{false};
  std::atomic<bool> direct_{false};  // ready requests go straight to idle threads

  // ---- the spare's
  unsigned taken_from_ = 0;
  bool taker_waits_ = false;  // the thread that lost the lead was waiting for the interpreter
  core::Instant has_since_{};
};

}  // namespace iotax::driver

#include "driver/worker_impl.h"

namespace iotax::driver {

using Worker = BasicWorker<Sys, EpollPoller<Sys>>;
extern template class BasicWorker<Sys, EpollPoller<Sys>>;

}  // namespace iotax::driver
