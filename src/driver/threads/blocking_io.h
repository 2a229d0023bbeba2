// The blocking operations of a call inside the server: it sends, waits for its client, and reads
// the body while it arrives, without the application lock. The host of SessionExchange. It must not
// know which thread leads, only that the spare must take over the lead before a wait.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <utility>
#include <variant>

#include "driver/application.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/loop/loop.h"
#include "driver/os/running_time.h"
#include "driver/proof.h"
#include "driver/session/session.h"
#include "driver/threads/app_threads.h"
#include "driver/threads/leadership.h"
#include "driver/threads/mailbox.h"
#include "driver/threads/spare_signal.h"
#include "driver/threads/stop_state.h"
#include "driver/threads/worker_base.h"

namespace iotax::driver {

/// For the thread that runs the request of the session. It holds the application lock, unless noted
/// otherwise.
template <Env E>
class BlockingIo {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed.
  BlockingIo(WorkerBase<E>& base, AppThreads<E>& threads) noexcept
      : sys_(base.sys),
        config_(base.config),
        mutex_(base.mutex),
        loop_(base.loop),
        threads_(threads),
        leadership_(base.leadership),
        spare_(base.spare_signal),
        mailbox_(base.mailbox),
        stop_(base.stop) {}

  // ---- for SessionExchange

  /// Read bytes of the body: at least one unless it has ended or failed.
  [[nodiscard]] BodyRead read_body(unsigned thread, Session& s, std::span<std::byte> into) {
    if (into.empty()) return {};
    for (;;) {
      if (s.stream.body && s.stream.body_taken < s.stream.body->size())
        return read_stored_body(thread, s, into);
      if (s.stream.body_error != BodyError::none) return {0, s.stream.body_error};
      if (s.stream.body_ended || !s.stream.streaming) return {};
      s.stream.body.reset();
      s.stream.body_taken = 0;
      const Released released(threads_[thread].lock);
      const core::Instant resumed_at = loop_.clock().noticed_now();
      s.link.pause_clock(false, resumed_at);
      // The client's time ends with the last check for its input: more may have arrived since.
      const core::Instant checked_at = receive_body(thread, s, resumed_at);
      if (!s.stream.body_ended && s.stream.body_error == BodyError::none)
        s.link.pause_clock(true, checked_at);
    }
  }
  /// Send all output of `s`; wait until everything that does not fit into its outbox is sent.
  [[nodiscard]] Sent deliver(unsigned thread, Session& s) {
    if (!s.link.machine.output().empty() || s.stream.has_earlier_output) {
      const Released released(threads_[thread].lock);
      send(s, Rest::stays);
      while (!s.link.machine.output().empty() &&
             !s.link.disconnected.load(std::memory_order_relaxed)) {
        const std::uint32_t seen = s.link.outbox->progress().load(std::memory_order_acquire);
        send(s, Rest::stays);  // uses room that was made before `seen` was read
        if (!s.link.machine.output().empty()) wait_for_room(thread, s, seen);
      }
      if (!s.link.machine.output().empty()) send(s, Rest::kept);  // disconnected: drop
    }
    return s.link.disconnected.load(std::memory_order_relaxed) ? Sent::gone : Sent::ok;
  }
  void log_access(Session& s) {
    AccessLog<E>& access_log = loop_.intake().access_log();
    if (access_log.wanted()) access_log.log_in_call(s, sys_.now());
  }
  [[nodiscard]] Intake<E>& intake() noexcept { return loop_.intake(); }
  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] core::Instant now() noexcept { return sys_.now(); }
  [[nodiscard]] bool stopping() const noexcept { return stop_.is_requested(); }

 private:
  using Rest = typename Sender<E>::Rest;
  using Released = typename AppLock<E>::Released;

  /// The remaining output is in the machine and does not fit into the outbox: wait until the client
  /// has read some since the progress was `seen`. Checks again every second, since memory that
  /// other sessions release is not announced. Without the application lock.
  void wait_for_room(unsigned thread, Session& s, std::uint32_t seen) {
    give_up_lead(thread);
    do {
      sys_.futex_wait(s.link.outbox->progress(), seen, 1s);
      seen = s.link.outbox->progress().load(std::memory_order_acquire);
    } while (s.link.outbox->overfull() && !s.link.disconnected.load(std::memory_order_relaxed));
  }

  /// Without the application lock.
  void send(Session& s, Rest rest) {
    if (std::exchange(s.stream.has_earlier_output,
                      false)) {  // a thread that takes over the lead sends it too
      mutex_.with_lock([&](const Locked& locked) { loop_.sender().send_earlier(locked, s); });
    }
    loop_.sender().send_output(mutex_, s, loop_.clock().noticed_now(), rest);
    if (s.link.backlogged() && s.link.outbox->take_began()) {
      s.link.write_wanted = true;
      mailbox_.post_writable(s);
    }
  }

  [[nodiscard]] BodyRead read_stored_body(unsigned thread, Session& s, std::span<std::byte> into) {
    if (s.stream.body->in_memory()) return read_stored(s, into);
    const Released released(threads_[thread].lock);
    return read_stored(s, into);
  }

  /// Read more of a body that the application reads while it arrives; wait for it if need be.
  /// Without the application lock. Returns when it last checked for input, at first `now`.
  core::Instant receive_body(unsigned thread, Session& s, core::Instant now) {
    if (intake().take_content(s)) {
      if (s.stream.body_error != BodyError::none) send(s, Rest::kept);
      return now;
    }
    s.link.machine.continue_100(s.link.machine.head().id);
    send(s, Rest::kept);
    return wait_for_input(thread, s);
  }

  core::Instant wait_for_input(unsigned thread, Session& s) {
    static constexpr std::size_t kReceiveBytes = 16 * 1024;
    std::array<std::byte, kReceiveBytes> block;
    // Read input that has arrived before checking the client's deadline.
    const core::Instant due = s.link.machine.deadline();
    core::Instant now = loop_.clock().noticed_now();
    Result<std::size_t> got = s.link.wire.recv(block);
    if (is_empty(got)) {
      give_up_lead(thread);
      pollfd fd{s.link.wire.fd(), POLLIN, 0};
      const core::Duration timeout = due == core::kNever ? kForever : due - now;
      if (timeout > core::Duration::zero()) (void)sys_.poll(std::span(&fd, 1), timeout);
      now = loop_.clock().noticed_now();
      got = s.link.wire.recv(block);
    }
    if (due != core::kNever && now - RunningTime::kSlack > due) {
      // This thread did not run meanwhile, which is not the client's fault.
      s.link.pause_clock(true, due);
      s.link.pause_clock(false, now);
    }
    s.link.machine.on_time(now);
    if (got && *got > 0) {
      take_input(s, std::span(block).first(*got));
    } else if (got) {
      s.link.half_closed.store(true, std::memory_order_relaxed);
      s.link.machine.receive_eof();
    } else if (!is_empty(got)) {
      s.link.disconnected.store(true, std::memory_order_relaxed);
      s.stream.body_error = BodyError::disconnected;
    }
    return now;
  }

  /// The view of the bytes ends with the caller's block, so store all body bytes in it.
  void take_input(Session& s, std::span<const std::byte> bytes) {
    s.link.machine.receive(bytes);
    core::Step step = s.link.machine.step();
    while (const auto* data = std::get_if<core::BodyData>(&step)) {
      if (!intake().store(s, data->bytes)) s.stream.body_error = BodyError::storage;
      step = s.link.machine.step();
    }
    if (std::holds_alternative<core::BodyEnd>(step)) {
      s.stream.body_ended = true;
      (void)s.link.machine.step();  // Paused: input after the body is kept
    } else if (const auto* rejected = std::get_if<core::Rejected>(&step)) {
      s.stream.body_error = BodyError::malformed;
      intake().reject(s, *rejected);
      send(s, Rest::kept);
    }
  }

  [[nodiscard]] static bool is_empty(const Result<std::size_t>& got) noexcept {
    return !got && (got.error() == EAGAIN || got.error() == EWOULDBLOCK);
  }

  /// The call is about to wait inside the server: make the spare take over immediately.
  void give_up_lead(unsigned thread) {
    if (leadership_.word() == threads_[thread].lent) spare_.act_now();
  }

  typename E::Sys& sys_;
  const Config& config_;
  StateMutex<E>& mutex_;
  Loop<E>& loop_;
  AppThreads<E>& threads_;
  Leadership<E>& leadership_;
  SpareSignal<E>& spare_;
  Mailbox<E>& mailbox_;
  const StopState<E>& stop_;
};

}  // namespace iotax::driver
