// The parts of a worker's threads on the scripted system, each based on those before it, without a
// thread that runs them. A test uses those up to the one under test, and acts as the leader.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "driver/threads/app_thread.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/blocking_io.h"
#include "driver/threads/call_runner.h"
#include "driver/threads/dispatch.h"
#include "driver/threads/leader.h"
#include "driver/threads/overdue.h"
#include "driver/threads/spare.h"
#include "support/fake_application.h"
#include "support/scripted_env.h"
#include "support/scripted_worker.h"

namespace iotax::support {

/// The version and the code of the first response.
[[nodiscard]] inline std::string status_of(const ScriptedClient& client) {
  return client.received().substr(0, 12);
}

struct ThreadParts {
  using E = ScriptedEnv;
  using Session = driver::Session<E>;

  enum class Supervised : bool { no, yes };

  explicit ThreadParts(driver::Config settings = {}, Supervised supervised = Supervised::no)
      : config(std::move(settings)),
        scoreboard(config.threads, 1, config.counts),
        listener(sys.listen()) {
    const driver::Result<driver::PipeEnds> made = sys.pipe();
    if (!made || !signal.open() || !loop.open(made->read)) std::abort();
    wakeup = *made;
    mailbox.open(wakeup.write);
    if (supervised == Supervised::yes) {
      channel = sys.open_channel();
      loop.add_channel(channel);
      overdue.set_supervised();
    }
    loop.add_listener(listener, "127.0.0.1:8000", driver::ListenerOwner::server);
    if (!loop.listen()) std::abort();
  }
  ~ThreadParts() {
    loop.close(lead);
    signal.close();
    sys.close(wakeup.read);
    sys.close(wakeup.write);
  }
  ThreadParts(const ThreadParts&) = delete;

  /// The life of application thread `thread`, for run().
  [[nodiscard]] driver::AppThread<E> app_thread(unsigned thread) {
    return {base, threads, dispatch, overdue, runner, leader, thread};
  }
  template <class F>
  auto locked(F f) {
    return mutex.with_lock(f);
  }
  /// Poll once and run the timers.
  void turn() {
    std::array<driver::Event, 64> found;
    const driver::Result<std::size_t> n = loop.poll(lead, found, core::Duration::zero());
    loop.process(lead, std::span(found).first(n ? *n : 0));
  }
  /// Let time pass, in steps in which the leader waits.
  void pass(core::Duration time) {
    const core::Instant end = sys.now() + time;
    while (sys.now() < end) {
      sys.advance(loop.clock().wait_until(end, false));
      loop.clock().read();
    }
  }
  /// A client with a ready request; requests are ready in the order of the calls.
  ScriptedClient request(std::string_view path = "/") {
    ScriptedClient client = sys.connect(listener);
    client.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    turn();
    turn();
    return client;
  }
  /// Make dispatch direct, as after many slow calls.
  void make_direct() {
    for (int n = 0; n < 20; ++n) {
      const core::Instant called = sys.now();
      sys.advance(2 * tuning.slow);
      dispatch.record_call(called);
    }
    locked([&](const driver::Locked& l) { dispatch.begin_direct_if_slow(l); });
  }
  void enqueue() {
    locked([&](const driver::Locked& l) { dispatch.enqueue_ready(lead, l, overdue.is_stuck()); });
  }

  ScriptedSys sys;
  driver::Config config;
  driver::LeadTuning tuning;
  RecordingLog log;
  FakeApplication app{sys};
  driver::PrivateScoreboard scoreboard;
  driver::Slot slot{scoreboard.scoreboard(), 0};
  int listener;
  int channel = -1;  // to the supervisor
  driver::PipeEnds wakeup;
  driver::WorkerBase<E> base{sys, config, app, log, tuning, slot};
  driver::StateMutex<E>& mutex = base.mutex;
  driver::Leadership<E>& leadership = base.leadership;
  driver::Lead lead = leadership.begin(0);
  driver::StopState<E>& stop = base.stop;
  driver::Loop<E>& loop = base.loop;
  driver::SpareSignal<E>& signal = base.spare_signal;
  driver::Mailbox<E>& mailbox = base.mailbox;
  driver::BlockingIo<E> io{base, threads};
  driver::AppThreads<E> threads{base, io};
  driver::Dispatch<E> dispatch{base, threads};
  driver::Overdue<E> overdue{base, threads, dispatch};
  driver::CallRunner<E> runner{base, threads, dispatch, overdue};
  driver::Leader<E> leader{base, threads, dispatch, overdue, runner};
  driver::Spare<E> spare{base, threads, dispatch, overdue, leader};
};

}  // namespace iotax::support
