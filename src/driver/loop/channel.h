// The worker's end of its channel to the supervisor: orders in, reports out, one message each. Its
// other end is channel.py. It decides how the words look; what an order does is the loop's
// business, what a report does the supervisor's.
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

/// The first byte of a message to the worker.
enum class Order : char {
  drain = 't',   // stop as for TERM
  prompt = 'i',  // stop as for INT
  now = 'q',     // stop at once
  retire = 'r',  // another worker serves from here on
  hold = 'h',    // accept nothing, and leave what idle connections send with the system
  go_on = 'g',   // after a hold
  pass = 'p',    // after a hold: give the idle connections away
  adopt = 'c',   // serve the connection that comes along
  reopen = 'l',  // the log files
  gone = 0,      // no message: the supervisor has ended
};

/// The first byte of a message from the worker. Those of a process that boots are Python's.
enum class Report : char {
  asked_to_leave = 'T',  // a TERM reached this process
  requests_done = 'M',   // --max-requests is reached; with their number
  threads_lost = 'L',    // and another worker is needed; with the reason
  busy = 'W',            // requests run, and nobody watches this worker's seat of the page
  passed = 'c',          // with a connection
  all_passed = 'P',
};

template <Env E>
class Channel : public EventSource {
 public:
  using Sys = typename E::Sys;
  struct Received {
    Order order = Order::gone;
    int attached = -1;  // the receiver's from here on
  };

  explicit Channel(Sys& sys) : EventSource(Kind::channel), sys_(sys) {}

  void open(int fd) noexcept { fd_ = fd; }
  /// The descriptor; -1: there is no supervisor, or it has ended.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  void close() noexcept {
    if (fd_ >= 0) sys_.close(std::exchange(fd_, -1));
  }

  /// The next order; none: that was all for now.
  std::optional<Received> next() {
    if (fd_ < 0) return std::nullopt;
    std::array<std::byte, 64> text;
    const Result<Message> got = sys_.receive_message(fd_, text);
    if (!got && (got.error() == EAGAIN || got.error() == EWOULDBLOCK)) return std::nullopt;
    if (!got || got->bytes == 0) return Received{};
    return Received{static_cast<Order>(text[0]), got->attached};
  }

  /// From any thread, and from signal handlers. `text` is cut where it does not fit. False: it
  /// could not be sent now, or nobody is there.
  bool report(Report what, std::string_view text = {}, int attached = -1) noexcept {
    if (fd_ < 0) return false;
    std::array<std::byte, 512> message{static_cast<std::byte>(what)};
    const auto said = std::as_bytes(std::span(text.substr(0, message.size() - 1)));
    std::copy(said.begin(), said.end(), message.begin() + 1);
    return bool(sys_.send_message(fd_, std::span(message).first(said.size() + 1), attached));
  }

 private:
  Sys& sys_;
  int fd_ = -1;
};

}  // namespace iotax::driver
