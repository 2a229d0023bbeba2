// Requests of other threads to the leader about sessions, and the wake-up that ends its wait for
// events. It must not know the threads.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "core/instant.h"
#include "driver/env.h"
#include "driver/loop/loop.h"
#include "driver/loop/wakeup.h"
#include "driver/os/sys.h"
#include "driver/proof.h"
#include "driver/session/session.h"

namespace iotax::driver {

/// Mail refers to lent sessions, which are not returned before it is delivered.
template <Env E>
class Mailbox {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed.
  Mailbox(typename E::Sys& sys, StateMutex<E>& mutex, Loop<E>& loop) noexcept
      : sys_(sys), mutex_(mutex), loop_(loop) {}
  Mailbox(Mailbox&&) = delete;

  /// The write end of the pipe that ends the leader's wait (loop/wakeup.h); borrowed.
  void open(int wakeup_fd) noexcept { wakeup_fd_ = wakeup_fd; }

  // ---- by any thread

  /// The outbox of `s` waits for the socket to be writable.
  void post_writable(Session& s) { post(mail_.writable, s); }
  /// The request of `s` has ended.
  void post_returned(Session& s) { post(mail_.returned, s); }
  /// The thread from which `s` was taken has returned.
  void post_released(Session& s) { post(mail_.released, s); }
  /// `s` was taken from its thread; the leader must respond for the application.
  void post_expired(Session& s, Withdrawn when, core::Duration age) {
    {
      const std::lock_guard lock(mutex_);
      mail_.expired.push_back({&s, when, age});
      any_.store(true);
    }
    ring();
  }
  /// A thread has returned, or could not be started.
  void post_threads_changed() {
    threads_changed_.store(true);
    any_.store(true);
    ring();
  }
  /// End the leader's wait. Async-signal-safe.
  void ring() noexcept { write_wakeup<E>(sys_, wakeup_fd_); }

  // ---- by the leader

  [[nodiscard]] bool any() const noexcept { return any_.load(std::memory_order_relaxed); }
  struct Delivered {
    bool expired = false;          // the leader has responded for calls
    bool threads_changed = false;  // post_threads_changed()
  };
  /// Act on mail about sessions. The result says what else was posted.
  Delivered deliver(const Lead& lead) {
    Mail mail;
    Delivered delivered;
    {
      const std::lock_guard lock(mutex_);
      std::swap(mail, mail_);
      delivered.threads_changed = threads_changed_.exchange(false);
      any_.store(false);
    }
    delivered.expired = !mail.expired.empty();
    RequestQueue<E>& requests = loop_.requests();
    for (Session* s : mail.writable) {  // first: the other mail may close the sessions
      loop_.events().watch_writable(lead, *s);
    }
    for (Session* s : mail.returned) requests.return_session(lead, *s);
    for (const Expired& one : mail.expired) {
      requests.take_away(lead, *one.session, one.when, one.age);
    }
    for (Session* s : mail.released) requests.thread_returned(lead, *s);
    return delivered;
  }
  /// From here on mail ends the wait for events. False: there is mail already.
  [[nodiscard]] bool begin_wait() noexcept {
    waiting_.store(true);
    return !any_.load();
  }
  void end_wait() noexcept { waiting_.store(false, std::memory_order_relaxed); }

 private:
  struct Expired {
    Session* session;
    Withdrawn when;
    core::Duration age;
  };
  struct Mail {
    std::vector<Session*> writable;
    std::vector<Session*> returned;
    std::vector<Expired> expired;
    std::vector<Session*> released;
  };

  void post(std::vector<Session*>& box, Session& s) {
    {
      const std::lock_guard lock(mutex_);
      box.push_back(&s);
      any_.store(true);
    }
    if (waiting_.load()) ring();
  }

  typename E::Sys& sys_;
  StateMutex<E>& mutex_;
  Loop<E>& loop_;
  int wakeup_fd_ = -1;
  Mail mail_;  // under the mutex
  Atomic<E, bool> any_{false};
  Atomic<E, bool> threads_changed_{false};
  Atomic<E, bool> waiting_{false};  // the leader waits for events, or is about to
};

}  // namespace iotax::driver
