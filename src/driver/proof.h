// Who may use what a worker's threads share, as parameters: a function that needs the lead or the
// worker's mutex takes the proof, which only the holder can make. A proof costs nothing at run
// time.
#pragma once

#include <mutex>

#include "driver/env.h"

namespace iotax::driver {

template <Env E>
class Leadership;

/// This thread has the lead (threads/leadership.h): it owns the loop and the sessions that are not
/// lent. A transition uses it up.
class Lead {
 public:
  Lead(const Lead&) = delete;
  Lead& operator=(const Lead&) = delete;
  Lead(Lead&&) noexcept {}
  Lead& operator=(Lead&&) noexcept { return *this; }

 private:
  Lead() noexcept {}  // not "= default": then Lead{} would be an aggregate for everybody
  template <Env E>
  friend class Leadership;
};

template <Env E>
class StateMutex;

/// This thread holds the worker's mutex.
class Locked {
 public:
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Locked() noexcept {}
  template <Env E>
  friend class StateMutex;
};

/// For what belongs to the leader, except while the request of its session runs: then the leader
/// and the thread that runs it both hold the mutex.
class LeadOrLocked {
 public:
  LeadOrLocked(const Lead& /*lead*/) noexcept {}
  LeadOrLocked(const Locked& /*locked*/) noexcept {}
};

/// The mutex of a worker. For std::lock_guard, where no proof is asked for, and with_lock().
template <Env E>
class StateMutex {
 public:
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  /// The result of f(locked), called with the mutex held.
  template <class F>
  auto with_lock(F&& f) {
    const std::lock_guard lock(mutex_);
    const Locked locked;
    return f(locked);
  }

 private:
  Mutex<E> mutex_;
};

}  // namespace iotax::driver
