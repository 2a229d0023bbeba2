// One connection without a socket: the caller passes the bytes of a client and takes the responses,
// in one thread. It uses the machine, the intake and the exchange of real sessions; everything that
// needs a descriptor, another thread or passing time is missing. For tests of applications.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/connection.h"
#include "driver/application.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/session/exchange.h"
#include "driver/session/intake.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E>
class InProcess {
 public:
  using Sys = typename E::Sys;
  using Session = driver::Session<E>;

  /// `sys`, `config`, `application` and `log` are borrowed. Hold the application lock when calling
  /// this class; it calls the application as thread 0.
  InProcess(Sys& sys, const Config& config, Application& application, Log& log, Peer peer)
      : config_(config),
        application_(application),
        sys_(sys),
        now_(sys.now()),
        intake_(sys, config, application, log),
        session_(sys, -1, std::move(peer), config.limits, intake_.policy(), now_),
        exchange_(*this, 0) {}
  InProcess(InProcess&&) = delete;

  // ---- the client
  /// Process bytes of the client. Calls the application for each request that they complete (or
  /// begin, if it reads while the body arrives). Ignored once the connection closes.
  void receive(std::span<const std::byte> bytes) {
    if (closing() != core::Closing::no) return;
    session_.link.machine.receive(bytes);
    go_on();
  }
  /// The client has shut down its sending side.
  void receive_eof() {
    if (closing() != core::Closing::no) return;
    session_.link.half_closed.store(true, std::memory_order_relaxed);
    session_.link.machine.receive_eof();
    go_on();
  }
  /// Disconnect the client: nothing reaches it any more. Also allowed during a call of the
  /// application.
  void disconnect() noexcept { session_.link.disconnected.store(true, std::memory_order_relaxed); }
  /// Return the bytes sent to the client since the last call.
  [[nodiscard]] std::string take_output() { return std::exchange(output_, {}); }
  [[nodiscard]] core::Closing closing() const noexcept {
    if (session_.link.disconnected.load(std::memory_order_relaxed)) return core::Closing::reset;
    return session_.link.machine.closing();
  }

  // ---- for SessionExchange
  /// No more input can arrive while the application reads: if the body is incomplete, the client
  /// counts as disconnected.
  BodyRead read_body(unsigned /*thread*/, Session& s, std::span<std::byte> into) {
    while (!into.empty()) {
      if (s.stream.body && s.stream.body_taken < s.stream.body->size()) return read_stored(s, into);
      if (s.stream.body_error != BodyError::none) return {0, s.stream.body_error};
      if (s.stream.body_ended || !s.stream.streaming) break;
      s.stream.body.reset();
      s.stream.body_taken = 0;
      if (!intake_.take_content(s)) {
        s.link.machine.continue_100(s.link.machine.head().id);
        s.stream.body_error = BodyError::disconnected;
      }
      flush();
    }
    return {};
  }
  Sent deliver(unsigned /*thread*/, Session& s) {
    flush();
    return s.link.disconnected.load(std::memory_order_relaxed) ? Sent::gone : Sent::ok;
  }
  void log_access(Session& s) { intake_.access_log().log_in_call(s, now_); }
  [[nodiscard]] Intake<E>& intake() noexcept { return intake_; }
  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] core::Instant now() noexcept { return now_; }
  [[nodiscard]] bool stopping() const noexcept { return false; }

 private:
  void go_on() {
    while (closing() == core::Closing::no) {
      const Progress progress = intake_.advance(session_, now_);
      flush();
      if (progress == Progress::waiting) break;
      if (progress == Progress::ready) call();
    }
    flush();
  }

  void call() {
    session_.link.pause_clock(false, now_);
    session_.stream.owner.store(Owner::lent, std::memory_order_relaxed);
    exchange_.begin(session_, now_);
    application_.call(0, exchange_);
    (void)exchange_.end();
    session_.stream.owner.store(Owner::loop, std::memory_order_relaxed);
    session_.stream.body.reset();
    flush();
    session_.stream.file.reset();
    intake_.access_log().log(session_, now_);  // if it was held for the file
  }

  void flush() {
    std::uint64_t bytes = 0;
    for (const core::Slice& slice : session_.link.machine.output()) {
      bytes += slice.bytes.size() + slice.file_bytes;
      if (session_.link.disconnected.load(std::memory_order_relaxed)) continue;
      output_.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.bytes.size());
      append_file(slice.file_bytes);
    }
    if (bytes != 0) session_.link.machine.sent(bytes);
  }

  /// If the file has become shorter meanwhile, truncate the response.
  void append_file(std::uint64_t left) {
    static constexpr std::size_t kBlockBytes = 64 * 1024;
    std::array<std::byte, kBlockBytes> block;
    std::uint64_t offset = session_.stream.file_offset;
    while (left != 0) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, block.size()));
      const auto got =
          sys_.pread(session_.stream.file.get(), std::span(block).first(wanted), offset);
      if (!got || *got == 0) return disconnect();
      output_.append(reinterpret_cast<const char*>(block.data()), *got);
      offset += *got;
      left -= *got;
    }
  }

  const Config& config_;
  Application& application_;
  Sys& sys_;
  core::Instant now_;  // never advances
  Intake<E> intake_;
  Session session_;
  SessionExchange<E, InProcess> exchange_;
  std::string output_;
};

}  // namespace iotax::driver
