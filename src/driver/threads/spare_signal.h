// The state of the spare thread, so that a thread that lends the lead knows whether to wake it. It
// must not know why the spare is needed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "driver/env.h"
#include "driver/loop/wakeup.h"
#include "driver/os/sys.h"

namespace iotax::driver {

template <Env E>
class SpareSignal {
 public:
  explicit SpareSignal(typename E::Sys& sys) noexcept : sys_(sys) {}
  SpareSignal(SpareSignal&&) = delete;

  [[nodiscard]] Result<void> open() {
    const Result<PipeEnds> made = sys_.pipe();
    if (!made) return Errno{made.error()};
    kick_ = *made;
    return {};
  }
  void close() {
    for (const int fd : {kick_.read, kick_.write}) {
      if (fd >= 0) sys_.close(fd);
    }
    kick_ = {};
  }

  // ---- by other threads

  /// The lead was lent: make the spare watch it.
  void watch() {
    if (state_.load() != kWatching) set(kWatching);
  }
  /// Make the spare take over the lead now if it is lent, or notice that the worker ends.
  void act_now() { set(kActing); }
  /// End its wait for events, in any state.
  void kick() noexcept { write_wakeup<E>(sys_, kick_.write); }

  // ---- by the spare

  /// Wait until `tick` is over or a thread calls act_now(). True: it did.
  bool wait_tick(core::Duration tick) {
    std::uint32_t expected = kPolling;
    state_.compare_exchange_strong(expected, kWatching);
    if (state_.load() != kActing) sys_.futex_wait(state_, kWatching, tick);
    expected = kActing;
    return state_.compare_exchange_strong(expected, kWatching);
  }
  /// Sleep until the lead is lent. Calls `stays_awake` after publishing that the spare sleeps.
  /// False: that returned true, or the lead is being lent.
  template <class F>
  bool sleep(F stays_awake) {
    std::uint32_t expected = kWatching;
    if (!state_.compare_exchange_strong(expected, kAsleep)) return false;
    if (stays_awake()) {  // the lender may have checked before
      expected = kAsleep;
      state_.compare_exchange_strong(expected, kWatching);
      return false;
    }
    while (state_.load() == kAsleep) sys_.futex_wait(state_, kAsleep, kForever);
    return true;
  }
  /// The spare is about to wait in the poller, together with the descriptor of kicks().
  void begin_poll() noexcept { state_.store(kPolling); }
  [[nodiscard]] int kicks() const noexcept { return kick_.read; }
  void read_kicks() {
    std::array<std::byte, 64> bytes;
    (void)sys_.read(kick_.read, bytes);
  }

 private:
  enum State : std::uint32_t {
    kWatching,  // waits one tick at a time
    kAsleep,    // waits without a timeout: wake it
    kPolling,   // waits for events, parked or just overtaken: kick it
    kActing,    // must take over the lead as soon as it is lent
  };

  void set(State wanted) {
    const std::uint32_t was = state_.exchange(wanted);
    if (was == kAsleep || wanted == kActing) sys_.futex_wake(state_, 1);
    if (was == kPolling) kick();
  }

  typename E::Sys& sys_;
  PipeEnds kick_;
  Atomic<E, std::uint32_t> state_{kWatching};
};

}  // namespace iotax::driver
