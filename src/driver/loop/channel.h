// The worker's end of its channel to the supervisor: orders in, reports out, one message each: a
// word, or a word, a space and text. channel.py is the other end; protocol.py lists the same words.
// The loop decides what an order does, the supervisor what a report does.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "driver/env.h"
#include "driver/os/event_source.h"
#include "driver/os/poller.h"

namespace iotax::driver {

/// A message to the worker.
enum class Order : std::uint8_t {
  drain,      // stop as for TERM
  interrupt,  // stop as for INT
  now,        // stop immediately
  retire,     // another worker takes over
  pause,      // accept nothing, and read nothing from idle connections
  resume,
  transfer,  // after pause: give the idle connections to another worker
  adopt,     // serve the attached connection
  reopen,    // the log files
  gone,      // not a message: the supervisor has exited
};

inline constexpr std::array<std::string_view, 9> kOrderWords{
    "drain", "interrupt", "now", "retire", "pause", "resume", "transfer", "adopt", "reopen",
};
static_assert(kOrderWords.size() == static_cast<std::size_t>(Order::gone));

/// A message from the worker. Python sends those of a process that is starting.
enum class Report : std::uint8_t {
  sigterm,       // this process received SIGTERM
  max_requests,  // --max-requests is reached; with that number
  threads_lost,  // a replacement is needed; with the reason
  busy,          // requests run while the supervisor does not read the scoreboard
  transferred,   // with a connection attached
  transfer_done,
};

inline constexpr std::array<std::string_view, 6> kReportWords{
    "sigterm", "max_requests", "threads_lost", "busy", "transferred", "transfer_done",
};
static_assert(kReportWords.size() == static_cast<std::size_t>(Report::transfer_done) + 1);

template <Env E>
class Channel : public EventSource {
 public:
  using Sys = typename E::Sys;
  struct Received {
    Order order = Order::gone;
    int attached = -1;  // a descriptor, owned by the receiver; -1: none
  };

  explicit Channel(Sys& sys) : EventSource(Kind::channel), sys_(sys) {}

  void open(int fd) noexcept { fd_ = fd; }
  /// The descriptor; -1: there is no supervisor, or it has exited.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  void close() noexcept {
    if (fd_ >= 0) sys_.close(std::exchange(fd_, -1));
  }

  /// The next order; empty: there are no more now. Unknown words are skipped, such as "turn": the
  /// supervisor only wants to see that the loop turns.
  std::optional<Received> next() {
    while (fd_ >= 0) {
      std::array<char, 64> text;
      const Result<Message> got =
          sys_.receive_message(fd_, std::as_writable_bytes(std::span(text)));
      if (!got && (got.error() == EAGAIN || got.error() == EWOULDBLOCK)) return std::nullopt;
      if (!got || got->bytes == 0) return Received{};
      const std::string_view word(text.data(), got->bytes);
      const auto* found = std::find(kOrderWords.begin(), kOrderWords.end(), word);
      if (found != kOrderWords.end()) {
        return Received{static_cast<Order>(found - kOrderWords.begin()), got->attached};
      }
      if (got->attached >= 0) sys_.close(got->attached);
    }
    return std::nullopt;
  }

  /// Thread-safe and async-signal-safe. `text` is truncated if it does not fit. False: it cannot be
  /// sent now, or the supervisor has exited.
  bool report(Report what, std::string_view text = {}, int attached = -1) noexcept {
    if (fd_ < 0) return false;
    std::array<char, 512> message;
    const std::string_view word = kReportWords[static_cast<std::size_t>(what)];
    auto* end = std::copy(word.begin(), word.end(), message.begin());
    if (!text.empty()) {
      *end++ = ' ';
      text = text.substr(0, static_cast<std::size_t>(message.end() - end));
      end = std::copy(text.begin(), text.end(), end);
    }
    const std::span<const char> used(message.begin(), end);
    return bool(sys_.send_message(fd_, std::as_bytes(used), attached));
  }

 private:
  Sys& sys_;
  int fd_ = -1;
};

}  // namespace iotax::driver
