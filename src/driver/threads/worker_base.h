// What the threads of a worker share: system calls, the mutex, the lead, the loop, and the signals
// between threads. It decides nothing.
#pragma once

#include "driver/application.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/loop/loop.h"
#include "driver/proof.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/threads/leadership.h"
#include "driver/threads/mailbox.h"
#include "driver/threads/spare_signal.h"
#include "driver/threads/stop_state.h"
#include "driver/threads/tuning.h"

namespace iotax::driver {

template <Env E>
struct WorkerBase {
  /// All but the tuning and the slot are borrowed.
  WorkerBase(typename E::Sys& system, const Config& configuration, Application& app, Log& lines,
             const LeadTuning& times, const Slot& its)
      : sys(system),
        config(configuration),
        application(app),
        log(lines),
        tuning(times),
        slot(its),
        loop(system, configuration, app, lines, its),
        spare_signal(system),
        mailbox(system, mutex, loop) {}
  WorkerBase(WorkerBase&&) = delete;

  [[nodiscard]] WorkerEntry& entry() const noexcept { return slot.scoreboard.worker(slot.number); }

  typename E::Sys& sys;
  const Config& config;
  Application& application;
  Log& log;
  const LeadTuning tuning;
  const Slot slot;
  StateMutex<E> mutex;
  Leadership<E> leadership;
  StopState<E> stop;
  Loop<E> loop;
  SpareSignal<E> spare_signal;
  Mailbox<E> mailbox;
};

}  // namespace iotax::driver
