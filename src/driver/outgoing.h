// From a session's answers to the socket: one send where one is enough; what is not taken goes to
// the outbox. For whoever owns the session. It must not know who leads, what waits for writability,
// or what an answer means.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/connection.h"
#include "driver/config.h"
#include "driver/outbox.h"
#include "driver/session.h"
#include "driver/spool.h"

namespace iotax::driver {

template <class Sys>
class Outgoing {
 public:
  Outgoing(Sys& sys, const Config& config, SpoolBudget& budget)
      : sys_(sys), config_(config), budget_(budget) {}

  /// Move the complete answers of `s` to `pending`, where a taker of the lead can send them while
  /// the request behind them runs.
  void set_aside(Session<Sys>& s) {
    const std::span<const core::Slice> slices = s.machine.output();
    const bool file = std::any_of(slices.begin(), slices.end(),
                                  [](const core::Slice& slice) { return slice.file_bytes != 0; });
    if (file) return send_output(s, sys_.now());  // a file cannot be set aside
    std::uint64_t taken = 0;
    for (const core::Slice& slice : slices) {
      s.pending.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.bytes.size());
      taken += slice.bytes.size();
    }
    s.machine.sent(taken);
  }

  /// Send what set_aside() kept. By the holder of the lead, or with the lead's mutex held by the
  /// thread that runs the request.
  void send_pending(Session<Sys>& s, core::Instant now) {
    if (s.pending.empty()) return;
    send_beside(s, std::as_bytes(std::span(s.pending)), now);
    s.pending.clear();
  }

  /// Send `bytes` behind what waits, beside the machine of `s`.
  void send_beside(Session<Sys>& s, std::span<const std::byte> bytes, core::Instant now) {
    const bool behind = s.backlogged();  // before `gone`: who clears the outbox has said so before
    if (s.gone.load(std::memory_order_relaxed)) return;
    keep(s, bytes.subspan(behind ? 0 : send_bytes(s, bytes)), now);
  }

  /// Send all output of `s`, earlier answers first. Afterwards the session holds nothing unsent but
  /// its outbox.
  void send_output(Session<Sys>& s, core::Instant now) {
    const std::span<const core::Slice> slices = s.machine.output();
    if (s.pending.empty() && slices.empty()) return;
    const bool behind = s.backlogged();  // before `gone`, as in send_beside()
    if (s.gone.load(std::memory_order_relaxed)) {
      s.pending.clear();
    } else if (s.pending.empty() && slices.size() == 1 && slices[0].file_bytes == 0 && !behind) {
      const std::span<const std::byte> bytes = slices[0].bytes;  // nearly every answer
      keep(s, bytes.subspan(send_bytes(s, bytes)), now);
    } else {
      send_pieces(s, slices, behind, now);
    }
    std::uint64_t total = 0;
    for (const core::Slice& slice : slices) total += slice.bytes.size() + slice.file_bytes;
    s.machine.on_time(now);  // it may be at rest from now on
    s.machine.sent(total);
  }

 private:
  static constexpr std::size_t kPiecesMax = 16;
  static constexpr std::uint64_t kFirstDrainBytes = 256 * 1024;

  void send_pieces(Session<Sys>& s, std::span<const core::Slice> slices, bool behind,
                   core::Instant now) {
    std::size_t sent = behind ? 0 : gather(s, slices);
    const auto rest = [&](std::span<const std::byte> bytes) {
      const std::size_t skip = std::min(sent, bytes.size());
      sent -= skip;
      keep(s, bytes.subspan(skip), now);
    };
    rest(std::as_bytes(std::span(s.pending)));
    s.pending.clear();
    for (const core::Slice& slice : slices) {
      if (slice.file_bytes == 0) {
        rest(slice.bytes);
      } else if (!s.gone.load(std::memory_order_relaxed)) {  // else what is before it is lost
        outbox(s).append_file(std::move(s.file), s.file_offset, slice.file_bytes, now);
      }
    }
    if (s.backlogged() && s.outbox->drain(s.fd, kFirstDrainBytes, now) == Drained::broken) {
      s.gone.store(true, std::memory_order_relaxed);
      s.outbox->clear();
    }
  }

  /// What the socket did not take waits in the outbox, unless nobody is there to take it later.
  void keep(Session<Sys>& s, std::span<const std::byte> rest, core::Instant now) {
    if (!rest.empty() && !s.gone.load(std::memory_order_relaxed)) outbox(s).append(rest, now);
  }

  /// One gathered send of what lies before the first file. The number of bytes that the socket
  /// took.
  std::size_t gather(Session<Sys>& s, std::span<const core::Slice> slices) {
    std::array<iovec, kPiecesMax> pieces;
    std::size_t count = 0;
    const auto add = [&](std::span<const std::byte> bytes) {
      if (bytes.empty() || count == pieces.size()) return;
      // sendmsg() only reads; iovec has no const form.
      pieces[count++] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    };
    add(std::as_bytes(std::span(s.pending)));
    bool file = false;
    for (const core::Slice& slice : slices) {
      file = slice.file_bytes != 0;
      if (file) break;
      add(slice.bytes);
    }
    if (count == 0) return 0;
    return taken(s, sys_.send_gathered(s.fd, std::span(pieces).first(count), file));
  }

  std::size_t send_bytes(Session<Sys>& s, std::span<const std::byte> bytes) {
    return taken(s, sys_.send(s.fd, bytes));
  }

  static std::size_t taken(Session<Sys>& s, const Result<std::size_t>& sent) {
    if (sent) return *sent;
    if (sent.error() != EAGAIN && sent.error() != EWOULDBLOCK) {
      s.gone.store(true, std::memory_order_relaxed);
    }
    return 0;
  }

  Outbox<Sys>& outbox(Session<Sys>& s) {
    if (!s.outbox) {
      s.outbox = std::make_unique<Outbox<Sys>>(sys_, budget_, config_.spool_dir,
                                               config_.answer_memory_bytes, config_.limits);
    }
    return *s.outbox;
  }

  Sys& sys_;
  const Config& config_;
  SpoolBudget& budget_;
};

}  // namespace iotax::driver
