// Reads the PROXY header of a connection of a proxy:// listener. Decides which connections become
// HTTP connections, and logs why others do not. It must not know requests.
#pragma once

#include <cerrno>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "core/bytes.h"
#include "core/proxy_header.h"
#include "driver/counters.h"
#include "driver/endpoints.h"
#include "driver/env.h"
#include "driver/log/escape.h"
#include "driver/loop/closing.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/session_table.h"
#include "driver/proof.h"
#include "driver/session/intake.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E>
class ProxyGate {
 public:
  using Session = driver::Session<E>;
  using Found = core::ProxyReader::Found;

  /// All are borrowed.
  ProxyGate(LoopBase<E>& loop, SessionTable<E>& table, Closing<E>& closing,
            Intake<E>& intake) noexcept
      : loop_(loop), table_(table), closing_(closing), intake_(intake) {}

  /// `s` is new: wait for the header, or close it if its peer may not send one.
  void expect(const Lead& lead, Session& s, std::string listener) {
    const core::Instant now = loop_.clock.now();
    s.link.phase = Phase::proxy_header;
    s.link.pause_clock(true, now);  // the time for a request begins after the header
    s.link.expected_header = std::make_unique<ExpectedHeader>(ExpectedHeader{
        core::ProxyReader(now, intake_.limits().receive_timeout), std::move(listener)});
    if (!intake_.application().may_send_proxy_header(s.link.endpoints)) {
      refuse(lead, s, "the peer is not one of --proxy-protocol-from");
      return;
    }
    s.link.phase_ends = s.link.expected_header->reader.deadline();
    table_.watch(lead, s, Interest{true, false});
    table_.set_timer(lead, s);
    if (s.link.phase_ends != core::kNever) loop_.clock.expect(s.link.phase_ends);
    if (s.link.disconnected.load(std::memory_order_relaxed)) closing_.close(lead, s);
  }

  /// Read once from the socket of `s`. If the header is complete, `s` is open, and the bytes after
  /// it are returned, until the next read. Otherwise `s` waits, or is closed.
  [[nodiscard]] std::optional<std::span<const std::byte>> receive(const Lead& lead, Session& s) {
    const Result<std::size_t> got = s.link.wire.recv(loop_.received);
    if (!got) {
      if (got.error() != EAGAIN && got.error() != EWOULDBLOCK) closing_.close(lead, s);
      return std::nullopt;
    }
    core::ProxyReader& reader = s.link.expected_header->reader;
    const std::span<const std::byte> bytes = std::span(loop_.received).first(*got);
    std::size_t used = 0;
    const Found found =
        bytes.empty() ? reader.receive_eof() : reader.receive(core::text_of(bytes), used);
    if (found == Found::fault) refuse_fault(lead, s);
    if (found != Found::header) return std::nullopt;
    take_proxy_header(s.link.endpoints, std::move(reader.header()));
    s.link.expected_header.reset();
    s.link.phase = Phase::open;
    s.link.phase_ends = core::kNever;
    s.link.pause_clock(false, loop_.clock.now());
    return bytes.subspan(used);
  }

  /// The timer of `s` fired while it waits for the header.
  void on_timer(const Lead& lead, Session& s) {
    if (s.link.expected_header->reader.on_time(loop_.clock.now()) == Found::fault) {
      refuse_fault(lead, s);
    } else {
      table_.set_timer(lead, s);
    }
  }

 private:
  void refuse_fault(const Lead& lead, Session& s) {
    const core::ProxyReader& reader = s.link.expected_header->reader;
    switch (reader.fault()) {
      case core::ProxyFault::nothing:  // as on other listeners
        closing_.close(lead, s);
        return;
      case core::ProxyFault::absent: {
        std::string text = "the connection begins with \"";
        append_escaped(text, reader.beginning());
        refuse(lead, s, text + "\"; let the proxy send it, or leave proxy:// out");
        return;
      }
      default:
        refuse(lead, s, reason(reader.fault()));
    }
  }

  void refuse(const Lead& lead, Session& s, std::string_view why) {
    std::string text = peer_text(s.link.endpoints) + " - PROXY protocol on proxy://";
    text.append(s.link.expected_header->listener).append(": ").append(why);
    intake_.warnings().warn(text);
    if (ThreadCounters* const counters = counters_of_thread)
      count_rejection(*counters, "proxy_protocol");
    closing_.close(lead, s);
  }

  LoopBase<E>& loop_;
  SessionTable<E>& table_;
  Closing<E>& closing_;
  Intake<E>& intake_;
};

}  // namespace iotax::driver
