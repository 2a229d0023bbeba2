// From a session's answers to the socket: one send where one is enough; what is not taken goes to
// the outbox. For whoever owns the session. It must not know what waits for writability, or what an
// answer means. Who leads is said by the proofs (proof.h).
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/connection.h"
#include "driver/config.h"
#include "driver/env.h"
#include "driver/proof.h"
#include "driver/session/session.h"
#include "driver/store/outbox.h"
#include "driver/store/spool.h"

namespace iotax::driver {

template <Env E>
class Outgoing {
 public:
  using Sys = typename E::Sys;
  Outgoing(Sys& sys, const Config& config, StorageBudget& budget)
      : sys_(sys), config_(config), budget_(budget) {}

  /// Move the complete answers of `s` to `earlier`, where a taker of the lead can send them while
  /// the request behind them runs.
  void set_aside(const Lead& lead, Session<E>& s) {
    const std::span<const core::Slice> slices = s.link.machine.output();
    const bool file = std::any_of(slices.begin(), slices.end(),
                                  [](const core::Slice& slice) { return slice.file_bytes != 0; });
    if (file) return send_output(lead, s, sys_.now());  // a file cannot be set aside
    std::uint64_t moved = 0;
    for (const core::Slice& slice : slices) {
      s.link.earlier_output.append(lead, slice.bytes);
      moved += slice.bytes.size();
    }
    s.link.machine.sent(moved);
  }

  /// Send what set_aside() kept.
  void send_earlier(LeadOrLocked proof, Session<E>& s, core::Instant now) {
    if (s.link.earlier_output.empty(proof)) return;
    send_beside(proof, s, s.link.earlier_output.bytes(proof), now);
    s.link.earlier_output.clear(proof);
  }

  /// Send `bytes` behind what waits, beside the machine of `s`.
  void send_beside(LeadOrLocked proof, Session<E>& s, std::span<const std::byte> bytes,
                   core::Instant now) {
    const bool behind =
        s.link.backlogged();  // before `gone`: who clears the outbox has said so before
    if (s.link.disconnected.load(std::memory_order_relaxed)) return;
    keep(s, bytes.subspan(behind ? 0 : send_bytes(s, bytes)), now, Rest::kept,
         [&]() -> Outbox<E>& { return outbox(proof, s); });
  }

  /// What becomes of output that the socket does not take, and for which the outbox has no room.
  enum class Rest : std::uint8_t {
    kept,   // in memory all the same: nobody can wait
    stays,  // the machine's output: the caller waits for the reader and comes again
  };

  /// Send all output of `s`, earlier answers first. Afterwards the session holds nothing unsent but
  /// its outbox.
  void send_output(const Lead& lead, Session<E>& s, core::Instant now) {
    send(s, s.link.earlier_output.bytes(lead), now, Rest::kept,
         [&]() -> Outbox<E>& { return outbox(lead, s); });
    s.link.earlier_output.clear(lead);
  }

  /// The same by the thread that runs the request and does not lead; earlier answers are sent.
  /// `mutex` is taken when an outbox has to be made. Afterwards the session holds nothing unsent
  /// but its outbox, and what `rest` leaves.
  void send_output(StateMutex<E>& mutex, Session<E>& s, core::Instant now, Rest rest = Rest::kept) {
    send(s, {}, now, rest, [&]() -> Outbox<E>& {
      if (Outbox<E>* const there = s.link.outbox.get()) return *there;
      return *mutex.with_lock([&](const Locked& locked) { return &outbox(locked, s); });
    });
  }

 private:
  /// `box()` is the outbox of `s`, made if there was none.
  template <class Box>
  void send(Session<E>& s, std::span<const std::byte> earlier, core::Instant now, Rest rest,
            Box box) {
    const std::span<const core::Slice> slices = s.link.machine.output();
    if (earlier.empty() && slices.empty()) return;
    const bool behind = s.link.backlogged();  // before `gone`, as in send_beside()
    std::uint64_t moved = 0;
    if (s.link.disconnected.load(std::memory_order_relaxed)) {
      // Nothing gets there any more.
      for (const core::Slice& slice : slices) moved += slice.bytes.size() + slice.file_bytes;
    } else if (earlier.empty() && slices.size() == 1 && slices[0].file_bytes == 0 && !behind) {
      const std::span<const std::byte> bytes = slices[0].bytes;  // nearly every answer
      moved = send_bytes(s, bytes);
      moved += keep(s, bytes.subspan(static_cast<std::size_t>(moved)), now, rest, box);
    } else {
      moved = send_pieces(s, earlier, slices, behind, now, rest, box);
    }
    s.link.machine.on_time(now);  // it may be at rest from now on
    s.link.machine.sent(moved);
  }

  static constexpr std::size_t kPiecesMax = 16;
  static constexpr std::uint64_t kFirstDrainBytes = 256 * 1024;

  /// How much of `slices` was sent or kept.
  template <class Box>
  std::uint64_t send_pieces(Session<E>& s, std::span<const std::byte> earlier,
                            std::span<const core::Slice> slices, bool behind, core::Instant now,
                            Rest rest, Box box) {
    std::size_t sent = behind ? 0 : gather(s, earlier, slices);
    {
      const std::size_t skip = std::min(sent, earlier.size());
      sent -= skip;
      keep(s, earlier.subspan(skip), now, Rest::kept, box);
    }
    std::uint64_t moved = 0;
    for (const core::Slice& slice : slices) {
      if (slice.file_bytes != 0) {
        if (!s.link.disconnected.load(
                std::memory_order_relaxed)) {  // else what is before it is lost
          box().append_file(std::move(s.stream.file), s.stream.file_offset, slice.file_bytes, now);
        }
        moved += slice.file_bytes;
        continue;
      }
      const std::size_t skip = std::min(sent, slice.bytes.size());
      sent -= skip;
      const std::size_t kept = keep(s, slice.bytes.subspan(skip), now, rest, box);
      moved += skip + kept;
      if (skip + kept < slice.bytes.size()) break;
    }
    if (s.link.backlogged() && s.link.outbox->drain(kFirstDrainBytes, now) == Drained::broken) {
      s.link.disconnected.store(true, std::memory_order_relaxed);
      s.link.outbox->clear();
    }
    return moved;
  }

  /// What the socket did not take waits in the outbox, unless nobody is there to take it later. How
  /// much is dealt with.
  template <class Box>
  std::size_t keep(Session<E>& s, std::span<const std::byte> bytes, core::Instant now, Rest rest,
                   Box box) {
    if (bytes.empty() || s.link.disconnected.load(std::memory_order_relaxed)) return bytes.size();
    if (rest == Rest::stays) return box().append_what_fits(bytes, now);
    box().append(bytes, now);
    return bytes.size();
  }

  /// One gathered send of what lies before the first file. The number of bytes that the socket
  /// took.
  std::size_t gather(Session<E>& s, std::span<const std::byte> earlier,
                     std::span<const core::Slice> slices) {
    std::array<iovec, kPiecesMax> pieces;
    std::size_t count = 0;
    const auto add = [&](std::span<const std::byte> bytes) {
      if (bytes.empty() || count == pieces.size()) return;
      // sendmsg() only reads; iovec has no const form.
      pieces[count++] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    };
    add(earlier);
    bool file = false;
    for (const core::Slice& slice : slices) {
      file = slice.file_bytes != 0;
      if (file) break;
      add(slice.bytes);
    }
    if (count == 0) return 0;
    return taken(s, s.link.wire.send_gathered(std::span(pieces).first(count), file));
  }

  std::size_t send_bytes(Session<E>& s, std::span<const std::byte> bytes) {
    return taken(s, s.link.wire.send(bytes));
  }

  static std::size_t taken(Session<E>& s, const Result<std::size_t>& sent) {
    if (sent) return *sent;
    if (sent.error() != EAGAIN && sent.error() != EWOULDBLOCK) {
      s.link.disconnected.store(true, std::memory_order_relaxed);
    }
    return 0;
  }

  Outbox<E>& outbox(LeadOrLocked proof, Session<E>& s) {
    return s.link.outbox.get_or_make(proof, sys_, s.link.wire, budget_, config_.spool_dir,
                                     config_.answer_memory_bytes, config_.limits);
  }

  Sys& sys_;
  const Config& config_;
  StorageBudget& budget_;
};

}  // namespace iotax::driver
