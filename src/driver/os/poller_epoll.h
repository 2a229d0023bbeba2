// The poller for Linux: epoll, level-triggered, one registration per descriptor.
#pragma once

#include "driver/os/poller.h"

#if IOTAX_LINUX

#include <algorithm>
#include <array>
#include <utility>

namespace iotax::driver {

template <SysLike S>
class EpollPoller {
 public:
  using Sys = S;
  struct Parking {
    int epoll = -1;
  };

  EpollPoller() = default;
  EpollPoller(const EpollPoller&) = delete;
  ~EpollPoller() { close(); }

  /// `sys` is borrowed for the lifetime of the poller.
  Result<void> open(S& sys) {
    sys_ = &sys;
    const auto fd = sys.epoll_create();
    if (!fd) return Errno{fd.error()};
    epoll_ = *fd;
    return {};
  }
  /// Can be called in the child of a fork too: the poller of the parent keeps its registrations.
  void close() {
    if (epoll_ >= 0) sys_->close(std::exchange(epoll_, -1));
  }
  /// The descriptor of the poller itself; -1 when closed.
  [[nodiscard]] int fd() const noexcept { return epoll_; }

  Result<void> add(int fd, void* token, Interest interest) {
    return sys_->epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, wish(token, interest));
  }
  Result<void> modify(int fd, void* token, Interest interest) {
    return sys_->epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, wish(token, interest));
  }
  /// Call it before closing the descriptor. Ignores one that is not registered.
  void remove(int fd) { (void)sys_->epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, epoll_event{}); }

  Result<std::size_t> wait(std::span<Event> into, core::Duration timeout) {
    const auto room = std::span(ready_).first(std::min(into.size(), ready_.size()));
    const auto got = sys_->epoll_wait(epoll_, room, timeout);
    if (!got) return got;
    std::transform(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*got), into.begin(),
                   event_of);
    return got;
  }

  [[nodiscard]] Parking park_view() const { return Parking{epoll_}; }
  Result<Parked> park(Parking& view, int kick_fd, core::Duration timeout) const {
    std::array fds{pollfd{view.epoll, POLLIN, 0}, pollfd{kick_fd, POLLIN, 0}};
    const auto got = sys_->poll(fds, timeout);
    if (!got) return Errno{got.error()};
    return Parked{fds[0].revents != 0, fds[1].revents != 0};
  }

 private:
  static epoll_event wish(void* token, Interest interest) noexcept {
    epoll_event event{};
    event.events = (interest.read ? EPOLLIN | EPOLLRDHUP : 0U) | (interest.write ? EPOLLOUT : 0U);
    event.data.ptr = token;
    return event;
  }
  static Event event_of(const epoll_event& e) noexcept {
    return {e.data.ptr, (e.events & EPOLLIN) != 0, (e.events & EPOLLOUT) != 0,
            (e.events & EPOLLRDHUP) != 0, (e.events & (EPOLLERR | EPOLLHUP)) != 0};
  }

  S* sys_ = nullptr;
  int epoll_ = -1;
  std::array<epoll_event, 256> ready_{};
};

static_assert(PollerLike<EpollPoller<Sys>>);

}  // namespace iotax::driver

#endif
