// One worker: application threads, the spare thread, and the parts that they share (threads/,
// loop/). It decides only how they are connected, started and ended. It must not know network
// details, HTTP or Python.
//
// Who uses what:
//  - the loop and its sessions that are not lent: the thread with the lead (Lead&);
//  - a lent session: the thread that runs its request, except what session.h names;
//  - the queue, the idle threads and mail: the thread that has the mutex (Locked&). It may be taken
//    with the application lock held; no thread waits for the application lock with the mutex held.
//    A call that does not outlast the watch never takes it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "driver/application.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/proof.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/threads/app_thread.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/blocking_io.h"
#include "driver/threads/call_runner.h"
#include "driver/threads/dispatch.h"
#include "driver/threads/leader.h"
#include "driver/threads/overdue.h"
#include "driver/threads/spare.h"
#include "driver/threads/tuning.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

/// A snapshot for display and metrics.
struct Status {
  std::size_t connections = 0;
  std::size_t running = 0;
  std::size_t queued = 0;
  std::uint64_t requests = 0;
  unsigned threads = 0;
  bool direct = false;  // calls were slow recently: requests go directly to idle threads
};

template <Env E>
class BasicWorker {
 public:
  using Sys = typename E::Sys;
  using Session = driver::Session<E>;

  /// `config`, `application`, `log` and the memory of `slot` are borrowed for the worker's
  /// lifetime. Without a slot it has a private scoreboard.
  BasicWorker(Sys& sys, const Config& config, Application& application, Log& log,
              const LeadTuning& tuning = {}, const std::optional<Slot>& slot = std::nullopt)
      : own_scoreboard_(slot ? nullptr : std::make_unique<PrivateScoreboard>(config.threads)),
        base_(sys, config, application, log, tuning,
              slot ? *slot : Slot{own_scoreboard_->scoreboard(), 0}),
        io_(base_, threads_),
        threads_(base_, io_),
        dispatch_(base_, threads_),
        overdue_(base_, threads_, dispatch_),
        runner_(base_, threads_, dispatch_, overdue_),
        leader_(base_, threads_, dispatch_, overdue_, runner_),
        spare_(base_, threads_, dispatch_, overdue_, leader_) {}
  ~BasicWorker() {
    base_.loop.close(base_.leadership.end());
    if (base_.stop.is_finished() && abandoned_) return;
    for (const int fd : {wakeup_.read, wakeup_.write}) {
      if (fd >= 0) base_.sys.close(fd);
    }
    base_.spare_signal.close();
  }
  BasicWorker(BasicWorker&&) = delete;

  // ---- before run()

  /// Open the poller and the pipes. Call it before everything else. Errors: those of the kernel.
  [[nodiscard]] Result<void> open() {
    const Result<PipeEnds> made = base_.sys.pipe();
    if (!made) return Errno{made.error()};
    wakeup_ = *made;
    base_.mailbox.open(wakeup_.write);
    if (Result<void> opened = base_.spare_signal.open(); !opened) return opened;
    return base_.loop.open(wakeup_.read);
  }
  /// Add a listening, non-blocking descriptor; the worker owns a duplicate of it.
  [[nodiscard]] Result<void> add_listener(int fd, std::string authority,
                                          ListenerOwner owner = ListenerOwner::server,
                                          FirstBytes first = FirstBytes::request) {
    const Result<int> own = base_.sys.duplicate(fd);
    if (!own) return Errno{own.error()};
    base_.loop.add_listener(*own, std::move(authority), owner, first);
    return {};
  }
  /// Add the channel to a supervisor (loop/channel.h); the worker owns a duplicate of it.
  [[nodiscard]] Result<void> add_channel(int fd) {
    const Result<int> own = base_.sys.duplicate(fd);
    if (!own) return Errno{own.error()};
    base_.loop.add_channel(*own);
    overdue_.set_supervised();
    return {};
  }

  // ---- its threads

  /// Serve in the calling thread, which becomes application thread 0, until stopped. Call it
  /// without the application lock. Errors: those of the kernel; the other threads end then.
  [[nodiscard]] Result<void> run() {
    Result<void> listening = base_.loop.listen();
    if (!listening) {
      leader_.end_threads();
      return listening;
    }
    auto spare = base_.sys.start_thread("iotax-spare", [this] {
      const Counting here(base_.slot.counters(threads_.size()));
      spare_.run();
    });
    if (!spare) {
      leader_.end_threads();
      return Errno{spare.error()};
    }
    spare_thread_ = std::move(*spare);
    {
      const Counting here(base_.slot.counters(0));
      leader_.run(base_.leadership.begin(0), threads_[0]);
    }
    run_thread(0);
    spare_thread_.join();
    return {};
  }
  /// Run application thread `thread` until the worker has stopped. Call it without the application
  /// lock.
  void run_thread(unsigned thread) {
    const Counting here(base_.slot.counters(thread));
    AppThread<E>(base_, threads_, dispatch_, overdue_, runner_, leader_, thread).run();
  }
  /// For the child of a fork: the worker never runs there again. Sys::abandon_in_child() closes its
  /// descriptors.
  void abandon_in_child() noexcept {
    abandoned_ = true;
    counters_of_thread = nullptr;
    intake().access_log().abandon_in_child();
    base_.stop.finish();
    spare_thread_.forget();
  }

  // ---- from any thread

  /// Async-signal-safe. `exit_code` is for Application::end_process().
  void stop(Stop how, int exit_code = 0) noexcept {
    base_.stop.request(how, exit_code);
    base_.mailbox.ring();
  }
  /// Async-signal-safe.
  void report(Report what) noexcept { (void)base_.loop.channel().report(what); }
  /// Non-blocking; a byte other than 0 means "run signal handlers". For signal.set_wakeup_fd().
  [[nodiscard]] int wakeup_fd() const noexcept { return wakeup_.write; }
  [[nodiscard]] Status status() const noexcept {
    Status status;
    status.connections = base_.loop.connections();
    status.running = runner_.running();
    status.queued = dispatch_.queued();
    status.requests = runner_.requests();
    status.threads = base_.config.threads;
    status.direct = dispatch_.direct();
    return status;
  }
  /// The maximum number of application threads.
  [[nodiscard]] unsigned threads_max() const noexcept { return threads_.size(); }
  /// The number of application threads, including replacements of lost ones.
  [[nodiscard]] unsigned threads_present() {
    return base_.mutex.with_lock([&](const Locked& locked) { return threads_.present(locked); });
  }
  /// For the thread that watches calls.
  [[nodiscard]] Overdue<E>& overdue() noexcept { return overdue_; }
  [[nodiscard]] Intake<E>& intake() noexcept { return base_.loop.intake(); }
  /// The temporary file with the body of the request that `thread` runs; -1: there is none. For
  /// that thread.
  [[nodiscard]] int body_file_of(unsigned thread) noexcept {
    return threads_[thread].exchange.stored_body_fd();
  }

 private:
  const std::unique_ptr<PrivateScoreboard> own_scoreboard_;
  WorkerBase<E> base_;
  BlockingIo<E> io_;
  AppThreads<E> threads_;
  Dispatch<E> dispatch_;
  Overdue<E> overdue_;
  CallRunner<E> runner_;
  Leader<E> leader_;
  Spare<E> spare_;
  PipeEnds wakeup_;  // ends the leader's wait for events
  typename Sys::Thread spare_thread_;
  bool abandoned_ = false;  // in the child of a fork
};

/// The worker for this system. Compiled in worker.cc.
using Worker = BasicWorker<NativeEnv>;
extern template class BasicWorker<NativeEnv>;

}  // namespace iotax::driver
