// The environment that the driver is compiled for: system calls and poller, as a template parameter
// of everything that makes a system call. (The WSGI dict is called environ, never env.)
#pragma once

#include "driver/os/poller.h"
#include "driver/os/poller_epoll.h"
#include "driver/os/poller_poll.h"
#include "driver/os/sys.h"

namespace iotax::driver {

template <class E>
concept Env = SysLike<typename E::Sys> && PollerLike<typename E::Poller>;

/// For every POSIX system.
struct PortableEnv {
  using Sys = driver::Sys;
  using Poller = PollPoller<Sys>;
};

/// For the system that this is compiled on.
#if IOTAX_LINUX
struct NativeEnv {
  using Sys = driver::Sys;
  using Poller = EpollPoller<Sys>;
};
#else
using NativeEnv = PortableEnv;
#endif

/// Types for shared data; Sys provides them, so that a test can control the interleaving of
/// threads.
template <Env E, class T>
using Atomic = typename E::Sys::template Atomic<T>;
template <Env E>
using Mutex = typename E::Sys::Mutex;
template <Env E>
using Thread = typename E::Sys::Thread;

}  // namespace iotax::driver
