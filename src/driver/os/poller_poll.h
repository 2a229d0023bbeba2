// The poller for every POSIX system: poll(2). Each wait takes time proportional to the number of
// descriptors.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <unordered_map>
#include <vector>

#include "driver/os/poller.h"

namespace iotax::driver {

template <SysLike S>
class PollPoller {
 public:
  using Sys = S;
  struct Parking {
    std::vector<pollfd> fds;  // the registered ones, then room for the kick descriptor
  };

  /// `sys` is borrowed for the lifetime of the poller.
  Result<void> open(S& sys) {
    sys_ = &sys;
    return {};
  }
  void close() {
    fds_.clear();
    tokens_.clear();
    places_.clear();
  }
  /// It has no descriptor of its own.
  [[nodiscard]] int fd() const noexcept { return -1; }

  /// EEXIST: registered already.
  Result<void> add(int fd, void* token, Interest interest) {
    if (!places_.try_emplace(fd, fds_.size()).second) return Errno{EEXIST};
    fds_.push_back(wish(fd, interest));
    tokens_.push_back(token);
    return {};
  }
  /// ENOENT: not registered.
  Result<void> modify(int fd, void* token, Interest interest) {
    const auto place = places_.find(fd);
    if (place == places_.end()) return Errno{ENOENT};
    fds_[place->second] = wish(fd, interest);
    tokens_[place->second] = token;
    return {};
  }
  /// Call it before closing the descriptor. Ignores one that is not registered.
  void remove(int fd) {
    const auto place = places_.find(fd);
    if (place == places_.end()) return;
    const std::size_t hole = place->second;
    places_.erase(place);
    if (hole + 1 != fds_.size()) {
      fds_[hole] = fds_.back();
      tokens_[hole] = tokens_.back();
      places_[fds_[hole].fd] = hole;
    }
    fds_.pop_back();
    tokens_.pop_back();
  }

  Result<std::size_t> wait(std::span<Event> into, core::Duration timeout) {
    const auto got = sys_->poll(fds_, timeout);
    if (!got) return got;
    std::size_t left = *got;
    std::size_t given = 0;
    const std::size_t all = fds_.size();
    std::size_t at = all == 0 ? 0 : next_ % all;
    for (std::size_t looked = 0; looked < all && left > 0 && given < into.size(); ++looked) {
      if (fds_[at].revents != 0) {
        into[given++] = event_of(fds_[at], tokens_[at]);
        --left;
      }
      at = at + 1 == all ? 0 : at + 1;
    }
    next_ = at;
    return given;
  }

  [[nodiscard]] Parking park_view() const {
    Parking view{fds_};
    view.fds.push_back(pollfd{-1, POLLIN, 0});
    return view;
  }
  Result<Parked> park(Parking& view, int kick_fd, core::Duration timeout) const {
    pollfd& kick = view.fds.back();
    kick.fd = kick_fd;
    const auto got = sys_->poll(view.fds, timeout);
    if (!got) return Errno{got.error()};
    const std::size_t kicked = kick.revents != 0 ? 1 : 0;
    return Parked{*got > kicked, kicked == 1};
  }

 private:
#ifdef POLLRDHUP
  static constexpr short kHangup = POLLRDHUP;
#else
  static constexpr short kHangup = 0;
#endif
  static pollfd wish(int fd, Interest interest) noexcept {
    return {
        fd,
        static_cast<short>((interest.read ? POLLIN | kHangup : 0) | (interest.write ? POLLOUT : 0)),
        0};
  }
  static Event event_of(const pollfd& p, void* token) noexcept {
    return {token, (p.revents & POLLIN) != 0, (p.revents & POLLOUT) != 0,
            (p.revents & kHangup) != 0, (p.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0};
  }

  S* sys_ = nullptr;
  std::vector<pollfd> fds_;  // parallel to tokens_
  std::vector<void*> tokens_;
  std::unordered_map<int, std::size_t> places_;
  std::size_t next_ = 0;  // where the next scan begins
};

static_assert(PollerLike<PollPoller<Sys>>);

}  // namespace iotax::driver
