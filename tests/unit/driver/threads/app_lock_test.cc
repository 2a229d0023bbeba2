#include "driver/threads/app_lock.h"

#include <gtest/gtest.h>

#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::LockUse;
using support::ThreadParts;

/// Another thread has the lock for `time`, and this one waits for it.
core::Instant acquire_after(ThreadParts& parts, core::Duration time) {
  parts.app.enter(ThreadParts::E::Sys::kFirstFd);
  parts.sys.after(time, [&] { parts.app.leave(ThreadParts::E::Sys::kFirstFd); });
  return parts.threads[0].lock.acquire();
}

TEST(AppLock, ReportsTheStateOfItsThread) {
  ThreadParts parts;
  driver::AppLock<ThreadParts::E>& lock = parts.threads[0].lock;
  EXPECT_EQ(lock.use(), LockUse::out);
  lock.acquire();
  EXPECT_EQ(lock.use(), LockUse::held);
  EXPECT_TRUE(lock.held());
  {
    const driver::AppLock<ThreadParts::E>::Released released(lock);
    EXPECT_EQ(lock.use(), LockUse::out);
    EXPECT_TRUE(lock.held());  // of the call that continues
  }
  EXPECT_EQ(lock.use(), LockUse::held);
  lock.release();
  EXPECT_EQ(lock.use(), LockUse::out);
  EXPECT_FALSE(lock.held());
}

TEST(AppLock, WaitingForItDoesNotCountTowardsTheCall) {
  ThreadParts parts;
  const core::Instant asked = parts.sys.now();
  EXPECT_EQ(acquire_after(parts, 20ms), asked + 20ms);
}

TEST(AppLock, IsReleasedBetweenCallsUnlessItsThreadWaitedLong) {
  ThreadParts parts;
  driver::AppLock<ThreadParts::E>& lock = parts.threads[0].lock;
  lock.acquire();
  lock.release_unless_credit();
  EXPECT_FALSE(lock.held());
  acquire_after(parts, 5ms);
  lock.release_unless_credit();
  EXPECT_TRUE(lock.held());
  parts.sys.advance(5ms);
  lock.release_unless_credit();
  EXPECT_FALSE(lock.held());
}

TEST(AppLock, ThreadsPublishHowLongTheyWaitForIt) {
  driver::Config config;
  config.counts = true;
  ThreadParts parts(config);
  const driver::Stopwatch& waits = parts.loop.report().times(0)->lock_wait;
  acquire_after(parts, 5ms);
  EXPECT_EQ(waits.total(parts.sys.now()), 5ms);
  {
    const driver::AppLock<ThreadParts::E>::Released released(parts.threads[0].lock);
    parts.app.enter(ThreadParts::E::Sys::kFirstFd);
    parts.sys.after(1ms, [&] { EXPECT_EQ(waits.total(parts.sys.now()), 6ms) << "it still waits"; });
    parts.sys.after(2ms, [&] { parts.app.leave(ThreadParts::E::Sys::kFirstFd); });
  }
  parts.sys.advance(9ms);
  EXPECT_EQ(waits.total(parts.sys.now()), 7ms);
  parts.threads[0].lock.release();
}

TEST(AppLock, ReleasingItTwiceDoesNothing) {
  ThreadParts parts;
  driver::AppLock<ThreadParts::E>& lock = parts.threads[0].lock;
  lock.acquire();
  lock.release();
  lock.release();
  lock.acquire();  // would wait forever if it were still held
  lock.release();
}

}  // namespace
}  // namespace iotax
