// Proofs of access to what a worker's threads share: a function that needs the lead or the worker's
// mutex takes the proof as a parameter, and only the owner can make one. A proof costs nothing at
// run time.
#pragma once

#include <mutex>

#include "driver/env.h"

namespace iotax::driver {

template <Env E>
class Leadership;

/// This thread has the lead (threads/leadership.h): it owns the loop and the sessions that are not
/// lent. A transition consumes it.
class Lead {
 public:
  Lead(const Lead&) = delete;
  Lead& operator=(const Lead&) = delete;
  Lead(Lead&&) noexcept {}
  Lead& operator=(Lead&&) noexcept { return *this; }

 private:
  Lead() noexcept {}  // not "= default": Lead would be an aggregate, and anyone could write Lead{}
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
/// and the thread that runs it both need the mutex.
class LeadOrLocked {
 public:
  LeadOrLocked(const Lead& /*lead*/) noexcept {}
  LeadOrLocked(const Locked& /*locked*/) noexcept {}
};

/// The mutex of a worker. Use std::lock_guard where no proof is needed, and with_lock() where one
/// is.
template <Env E>
class StateMutex {
 public:
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  /// Return f(locked), called with the mutex held.
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
