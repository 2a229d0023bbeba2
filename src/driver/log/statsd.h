// Sends lines for statsd in datagrams: collects those of all threads of a process until its loop,
// or the supervisor's turn, sends them. Nothing here waits: lines that the receiver does not take
// are lost, with a warning. It must not know what is measured.
//
// Invariants:
//  1. At most kHeldBytesMax bytes of lines are held; lines of one call are kept or lost together.
//  2. The child of a fork sends nothing and holds nothing, until resume_in_child().
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/bytes.h"
#include "core/instant.h"
#include "driver/counters.h"
#include "driver/env.h"
#include "driver/log/log.h"
#include "driver/log/statsd_text.h"
#include "driver/os/socket_address.h"

namespace iotax::driver {

/// Where lines go, and how they look. `name`: of the receiver, for warnings.
struct StatsdReceiver {
  SocketAddress address;
  std::string name;
  StatsdText text;
};

/// When processes have warned last, in nanoseconds of the monotonic clock; 0: never. In memory that
/// the processes of a server share.
using WarnedAt = std::atomic<std::int64_t>;

/// Thread-safe, except what is for the child of a fork.
template <Env E>
class Statsd {
 public:
  using Sys = typename E::Sys;
  static constexpr std::size_t kHeldBytesMax = std::size_t{64} * 1024;
  static constexpr core::Duration kWarnEvery = std::chrono::minutes{1};

  /// `sys` is borrowed.
  explicit Statsd(Sys& sys) : sys_(sys) {}
  ~Statsd() { close(); }
  Statsd(Statsd&&) = delete;

  /// Collect lines from now on. Lines for an earlier receiver are sent first. `warned_at` is
  /// borrowed; null: this process warns for itself.
  void open(StatsdReceiver receiver, Log& log, WarnedAt* warned_at = nullptr) {
    send(log, true);
    close();
    const std::lock_guard sending(state_->sending);
    const std::lock_guard lock(state_->mutex);
    receiver_.emplace(std::move(receiver));
    warned_at_ = warned_at != nullptr ? warned_at : &own_warned_at_;
    logged_ = log.counts();
    on_.store(true, std::memory_order_relaxed);
  }
  /// Collect nothing more, and forget what is held.
  void close() {
    const std::lock_guard sending(state_->sending);
    const std::lock_guard lock(state_->mutex);
    on_.store(false, std::memory_order_relaxed);
    close_socket();
    receiver_.reset();
    state_->held.clear();
    set_held_bytes();
  }
  [[nodiscard]] bool is_on() const noexcept { return on_.load(std::memory_order_relaxed); }

  // ---- lines; ignored if it is off. Those of the log are collected when they are sent.

  void request(int status, core::Duration took) {
    append([&](const StatsdText& text, std::string& to) { text.request(to, status, took); });
  }
  void workers(unsigned count) {
    append([&](const StatsdText& text, std::string& to) { text.workers(to, count); });
  }

  // ---- sending

  /// Whether there are lines to send, among them those that `log` has counted.
  [[nodiscard]] bool is_waiting(const Log& log) {
    collect(log);
    return held_bytes() != 0;
  }
  [[nodiscard]] bool is_full() const noexcept {
    return held_bytes() > StatsdText::kDatagramBytesMax;
  }
  /// Send what is held; unless `all`, in full datagrams only. Never waits. `log` gets the warning
  /// that lines are lost.
  void send(Log& log, bool all) {
    if (!is_on() || !is_waiting(log)) return;
    const std::string loss = send_held(all);
    if (!loss.empty()) log.server(Level::warning, loss);
  }

  // ---- for the child of a fork

  /// Another thread may have been using the state, and the parent sends what is held.
  void abandon_in_child() {
    on_.store(false, std::memory_order_relaxed);
    const int inherited = state_->fd;
    inherited_ = std::exchange(state_, std::make_unique<State>());
    logged_ = {};  // as the log, which counts what the child logs
    set_held_bytes();
    if (inherited >= 0) sys_.close(inherited);
  }
  /// The child is a process of the server: it sends its own lines to the same receiver.
  void resume_in_child() { on_.store(receiver_.has_value(), std::memory_order_relaxed); }

 private:
  struct State {
    Mutex<E> sending;         // of `fd`; taken before the other
    int fd = -1;              // connected to the receiver
    Mutex<E> mutex;           // of the rest
    std::string held;         // lines with their ends
    bool overflowed = false;  // lines were lost, because too many were held
  };

  [[nodiscard]] std::size_t held_bytes() const noexcept {
    return held_bytes_.load(std::memory_order_relaxed);
  }
  void set_held_bytes() noexcept {
    held_bytes_.store(state_->held.size(), std::memory_order_relaxed);
  }

  template <class F>
  void append(F&& format) {
    if (!is_on()) return;
    const std::lock_guard lock(state_->mutex);
    if (!is_on()) return;  // closed meanwhile
    const std::size_t before = state_->held.size();
    format(receiver_->text, state_->held);
    if (state_->held.size() > std::max(before, kHeldBytesMax)) {
      state_->held.resize(before);
      state_->overflowed = true;
    }
    set_held_bytes();
  }

  /// One line for each line of the log since the last call; those that do not find room are left
  /// for the next.
  void collect(const Log& log) {
    append([&](const StatsdText& text, std::string& to) {
      const LogCounts now = log.counts();
      for (std::size_t n = 0; n < now.lines.size(); ++n) {
        if (static_cast<Level>(n) < Level::warning) continue;
        for (; logged_.lines[n] < now.lines[n] && to.size() < kHeldBytesMax / 2; ++logged_.lines[n])
          text.log_line(to, static_cast<Level>(n));
      }
    });
  }

  /// The warning that lines were lost, if it is due.
  std::string send_held(bool all) {
    const std::lock_guard sending(state_->sending);
    std::string lines;
    bool overflowed = false;
    {
      const std::lock_guard lock(state_->mutex);
      if (!is_on()) return {};
      lines.swap(state_->held);
      overflowed = std::exchange(state_->overflowed, false);
      set_held_bytes();
    }
    std::string why = overflowed ? "more were waiting than are kept" : "";
    std::string_view left = lines;
    while (left.size() > (all ? 0 : StatsdText::kDatagramBytesMax)) {
      const std::string_view datagram = StatsdText::first_datagram(left);
      if (const int error = send_datagram(datagram); error != 0) why = text_of_error(error);
      left.remove_prefix(std::min(datagram.size() + 1, left.size()));
    }
    if (!left.empty()) {
      const std::lock_guard lock(state_->mutex);
      state_->held.insert(0, left);
      set_held_bytes();
    }
    if (why.empty() || !may_warn()) return {};
    return "Lines for statsd at " + receiver_->name + " are lost: " + why;
  }

  /// Returns 0 or why this datagram, or one before it, was lost. If the receiver has been started
  /// again, its socket has another file, or the last error is of a datagram before: so it is tried
  /// twice.
  int send_datagram(std::string_view datagram) {
    int lost = 0;
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (state_->fd < 0) {
        const Result<int> opened = sys_.open_datagram(receiver_->address);
        if (!opened) return opened.error();
        state_->fd = *opened;
      }
      const auto sent = sys_.send(state_->fd, core::bytes_of(datagram));
      if (sent) return lost;
      if (sent.error() == EAGAIN || sent.error() == EWOULDBLOCK) return EAGAIN;
      close_socket();
      if (attempt == 1 || !is_unix(receiver_->address)) lost = sent.error();
    }
    return lost;
  }

  static std::string text_of_error(int error) {
    if (error == EAGAIN) return "its socket is full";
    return std::generic_category().message(error);
  }

  void close_socket() {
    if (const int fd = std::exchange(state_->fd, -1); fd >= 0) sys_.close(fd);
  }

  /// At most once a minute, of all processes of the server.
  [[nodiscard]] bool may_warn() noexcept {
    const std::int64_t now = (sys_.now() + sys_.left_out()).time_since_epoch().count();
    std::int64_t last = warned_at_->load(std::memory_order_relaxed);
    if (last != 0 && now - last < kWarnEvery.count()) return false;
    return warned_at_->compare_exchange_strong(last, now, std::memory_order_relaxed);
  }

  Sys& sys_;
  std::unique_ptr<State> state_ = std::make_unique<State>();
  std::unique_ptr<State> inherited_;        // in the child of a fork: the parent's; not used
  std::optional<StatsdReceiver> receiver_;  // changes under both mutexes
  LogCounts logged_;                        // of these there are lines; under the mutex
  std::atomic<bool> on_{false};             // the same
  std::atomic<std::size_t> held_bytes_{0};  // readable in any state of state_
  WarnedAt own_warned_at_{0};
  WarnedAt* warned_at_ = &own_warned_at_;
};

}  // namespace iotax::driver
