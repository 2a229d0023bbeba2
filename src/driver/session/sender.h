// Sends the output of a session to the socket: one send where that is enough; the outbox takes the
// rest. For the owner of the session. It must not know what waits for writability, or what a
// response means. The proofs (proof.h) say whether the caller leads.
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
class Sender {
 public:
  using Sys = typename E::Sys;
  Sender(Sys& sys, const Config& config, StorageBudget& budget)
      : sys_(sys), config_(config), budget_(budget) {}

  /// Move the complete responses of `s`, without a file, to `earlier`, so that a thread that takes
  /// over the lead can send them while the next request runs.
  void set_aside(const Lead& lead, Session<E>& s) {
    std::uint64_t moved = 0;
    for (const core::Slice& slice : s.link.machine.output()) {
      s.link.earlier_output.append(lead, slice.bytes);
      moved += slice.bytes.size();
    }
    s.link.machine.sent(moved);
  }

  /// Send what set_aside() kept.
  void send_earlier(LeadOrLocked proof, Session<E>& s) {
    if (s.link.earlier_output.empty(proof)) return;
    send_beside(proof, s, s.link.earlier_output.bytes(proof));
    s.link.earlier_output.clear(proof);
  }

  /// Send `bytes` after the unsent output, without the machine of `s`.
  void send_beside(LeadOrLocked proof, Session<E>& s, std::span<const std::byte> bytes) {
    const bool behind = s.link.backlogged();  // read first: `disconnected` is set before clear()
    if (s.link.disconnected.load(std::memory_order_relaxed)) return;
    keep(s, bytes.subspan(behind ? 0 : send_bytes(s, bytes)), Rest::kept,
         [&]() -> Outbox<E>& { return outbox(proof, s); });
  }

  /// What to do with output that the socket does not take and that does not fit into the outbox.
  enum class Rest : std::uint8_t {
    kept,   // in memory nevertheless: the caller cannot wait
    stays,  // as the machine's output: the caller waits for the client and tries again
  };

  /// Send all output of `s`, earlier responses first. Afterwards only the outbox of the session has
  /// unsent output.
  void send_output(const Lead& lead, Session<E>& s, core::Instant now) {
    send(s, s.link.earlier_output.bytes(lead), now, Rest::kept,
         [&]() -> Outbox<E>& { return outbox(lead, s); });
    s.link.earlier_output.clear(lead);
  }

  /// The same for the thread that runs the request and does not lead; earlier responses have been
  /// sent. Takes `mutex` to create an outbox. Afterwards unsent output is only in the outbox and,
  /// as `rest` says, in the machine.
  void send_output(StateMutex<E>& mutex, Session<E>& s, core::Instant now, Rest rest = Rest::kept) {
    send(s, {}, now, rest, [&]() -> Outbox<E>& {
      if (Outbox<E>* const there = s.link.outbox.get()) return *there;
      return *mutex.with_lock([&](const Locked& locked) { return &outbox(locked, s); });
    });
  }

 private:
  /// `box()` returns the outbox of `s` and creates it if necessary.
  template <class Box>
  void send(Session<E>& s, std::span<const std::byte> earlier, core::Instant now, Rest rest,
            Box box) {
    const std::span<const core::Slice> slices = s.link.machine.output();
    if (earlier.empty() && slices.empty()) return;
    const bool behind = s.link.backlogged();  // before reading `disconnected`, as in send_beside()
    std::uint64_t moved = 0;
    if (s.link.disconnected.load(std::memory_order_relaxed)) {
      // The client cannot be reached any more.
      for (const core::Slice& slice : slices) moved += slice.bytes.size() + slice.file_bytes;
      s.link.lost_bytes += moved;
    } else if (earlier.empty() && slices.size() == 1 && slices[0].file_bytes == 0 && !behind) {
      const std::span<const std::byte> bytes = slices[0].bytes;  // nearly every response
      moved = send_bytes(s, bytes);
      moved += keep(s, bytes.subspan(static_cast<std::size_t>(moved)), rest, box);
    } else {
      moved = send_pieces(s, earlier, slices, behind, rest, box);
    }
    s.link.machine.on_time(now);  // it may become idle now
    s.link.machine.sent(moved);
  }

  static constexpr std::size_t kPiecesMax = 16;
  static constexpr std::uint64_t kFirstDrainBytes = 256 * 1024;

  /// Returns how many bytes of `slices` were sent or kept.
  template <class Box>
  std::uint64_t send_pieces(Session<E>& s, std::span<const std::byte> earlier,
                            std::span<const core::Slice> slices, bool behind, Rest rest, Box box) {
    std::size_t sent = behind ? 0 : gather(s, earlier, slices);
    {
      const std::size_t skip = std::min(sent, earlier.size());
      sent -= skip;
      keep(s, earlier.subspan(skip), Rest::kept, box);
    }
    std::uint64_t moved = 0;
    for (const core::Slice& slice : slices) {
      if (slice.file_bytes != 0) {
        if (!s.link.disconnected.load(
                std::memory_order_relaxed)) {  // otherwise bytes before it are lost
          box().append_file(std::move(s.stream.file), s.stream.file_offset, slice.file_bytes);
        } else {
          s.link.lost_bytes += slice.file_bytes;
        }
        moved += slice.file_bytes;
        continue;
      }
      const std::size_t skip = std::min(sent, slice.bytes.size());
      sent -= skip;
      const std::size_t kept = keep(s, slice.bytes.subspan(skip), rest, box);
      moved += skip + kept;
      if (skip + kept < slice.bytes.size()) break;
    }
    if (s.link.backlogged() && s.link.outbox->drain(kFirstDrainBytes) == Drained::broken) {
      s.link.disconnected.store(true, std::memory_order_relaxed);
      s.link.outbox->clear();
    }
    return moved;
  }

  /// Keep what the socket did not take in the outbox, unless nothing would send it later. Returns
  /// how many bytes were sent or kept.
  template <class Box>
  std::size_t keep(Session<E>& s, std::span<const std::byte> bytes, Rest rest, Box box) {
    if (bytes.empty()) return 0;
    if (s.link.disconnected.load(std::memory_order_relaxed)) {
      s.link.lost_bytes += bytes.size();
      return bytes.size();
    }
    if (rest == Rest::stays) return box().append_what_fits(bytes);
    box().append(bytes);
    return bytes.size();
  }

  /// Send everything before the first file with one gathered send. Returns the number of bytes that
  /// the socket took.
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
