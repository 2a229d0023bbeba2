// Unsent output of one client: memory up to a limit, then unlinked temporary files, and files of
// the application, in order. The thread that runs the request fills it; the leader flushes it when
// the socket is writable, and either may flush it while sending. It must not know which request it
// is for. All calls lock; the lock order is: the worker's mutex, then this one.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "core/instant.h"
#include "core/limits.h"
#include "core/transfer_rate.h"
#include "driver/env.h"
#include "driver/os/sys.h"
#include "driver/os/unique_fd.h"
#include "driver/store/spool.h"
#include "driver/wire.h"

namespace iotax::driver {

enum class Drained : std::uint8_t { empty, blocked, more, broken };

template <Env E>
class Outbox {
 public:
  using Sys = typename E::Sys;
  /// For `wire`, which stays open as long as this is used. Keeps up to `memory_bytes_max` unsent
  /// bytes in memory and the rest in temporary files, both within `budget`.
  Outbox(Sys& sys, PlainWire<E>& wire, StorageBudget& budget, const std::string& spool_dir,
         std::size_t memory_bytes_max, const core::Limits& limits)
      : sys_(sys),
        wire_(wire),
        budget_(budget),
        memory_bytes_max_(memory_bytes_max),
        spool_(sys, budget, spool_dir),
        look_every_(limits.send_timeout / kLooksPerGap),
        rate_(core::TransferRate::Rules{limits.send_timeout, limits.rate_grace,
                                        limits.rate_bytes_min, kPauseGaps}) {}
  ~Outbox() { clear(); }
  Outbox(Outbox&&) = delete;

  /// Copy as much of `bytes` as memory and temporary files have room for. Returns how many bytes;
  /// after clear() all of them, which are discarded.
  std::size_t append_what_fits(std::span<const std::byte> bytes) {
    if (bytes.empty()) return 0;
    const std::lock_guard lock(mutex_);
    if (cleared_) {
      lost_bytes_ += bytes.size();
      return bytes.size();
    }
    std::size_t kept = append_memory(bytes, memory_room(bytes.size()));
    if (kept < bytes.size()) kept += append_spool(bytes.subspan(kept));
    if (kept == 0 && pieces_.empty()) {  // otherwise the response would never make progress
      kept = append_memory(bytes, std::min(bytes.size(), kMemoryPieceMin));
    }
    return kept;
  }
  /// Copy all `bytes`, to memory if nothing else has room: for callers that cannot wait.
  void append(std::span<const std::byte> bytes) {
    const std::span<const std::byte> rest = bytes.subspan(append_what_fits(bytes));
    if (rest.empty()) return;
    const std::lock_guard lock(mutex_);
    append_memory(rest, rest.size());
  }

  void append_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return;
    const std::lock_guard lock(mutex_);
    if (cleared_) {
      lost_bytes_ += length;
      return;
    }
    budget_.descriptors.add();
    pieces_.push_back(Piece{Kind::file, {}, std::move(file), offset, length});
    grow(length);
  }

  /// Send at most about `budget` bytes. broken: the client is disconnected, or a file is shorter
  /// than announced. Then the outbox keeps its bytes until clear(), so that later bytes are not
  /// sent in place of the lost ones.
  Drained drain(std::uint64_t budget) {
    const std::lock_guard lock(mutex_);
    std::uint64_t sent = 0;
    const Drained drained = send_pieces(budget, sent);
    look(sent);
    if (sent != 0) step_forward();
    return drained;
  }

  /// Discard everything, also what is appended later: another thread that has not noticed the end
  /// of the connection must not send bytes in place of the lost ones. Mark the session as
  /// disconnected before.
  void clear() {
    const std::lock_guard lock(mutex_);
    cleared_ = true;
    lost_bytes_ += bytes();
    while (!pieces_.empty()) drop_front();
    spool_.clear();
    memory_bytes_ = 0;
    release_memory();
    bytes_.store(0, std::memory_order_release);
    step_forward();
  }

  [[nodiscard]] bool empty() const noexcept { return bytes_.load(std::memory_order_acquire) == 0; }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return bytes_.load(std::memory_order_acquire);
  }
  /// What it holds, and what clear() has discarded.
  [[nodiscard]] std::uint64_t unsent_bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes() + lost_bytes_;
  }
  /// Whether a file of the application was shorter than announced.
  [[nodiscard]] bool file_ended() const {
    const std::lock_guard lock(mutex_);
    return file_ended_;
  }
  /// Whether memory and temporary files are full: the application has to wait for the client. It
  /// continues only when some room is free; otherwise it would wait for every few bytes.
  [[nodiscard]] bool overfull() const {
    const std::lock_guard lock(mutex_);
    if (memory_bytes_ <= memory_bytes_max_ / 2) return false;
    return memory_bytes_ > memory_bytes_max_ || spool_.room() < budget_.segment_bytes / 4;
  }
  /// When to call late() next; kNever while there is no unsent output.
  [[nodiscard]] core::Instant deadline() const {
    const std::lock_guard lock(mutex_);
    return bytes() == 0 ? core::kNever : next_look();
  }
  /// Whether the client has acknowledged too little for too long.
  [[nodiscard]] bool late(core::Instant now) {
    const std::lock_guard lock(mutex_);
    if (bytes() == 0 || now < next_look()) return false;
    look(0);
    return rate_.late(now);
  }
  /// Whether unsent output has appeared in an empty outbox since the last call. The caller has the
  /// socket watched; the leader stops watching when the outbox is empty.
  [[nodiscard]] bool take_began() {
    const std::lock_guard lock(mutex_);
    return std::exchange(began_, false);
  }
  /// Changes with every progress, so that a thread that waits for room can sleep on it.
  [[nodiscard]] Atomic<E, std::uint32_t>& progress() noexcept { return progress_; }

 private:
  /// A client behind a proxy reads in bursts: the proxy reads again when a third of its own send
  /// buffer is free, which at 50 kB/s happens every half minute.
  static constexpr std::uint32_t kPauseGaps = 3;
  /// How often acknowledgments are checked per gap, so that the time of the last one is known well
  /// enough.
  static constexpr int kLooksPerGap = 4;
  static constexpr std::size_t kMemoryPieceMin = 16 * 1024;
  /// A client with unsent output for this long is slow. From then on its unsent output stays here,
  /// where it is counted, and not in the kernel's send buffer, which grows to megabytes. (With this
  /// limit from the start, for all clients, downloads of 10 MB over loopback cost twice the CPU.)
  static constexpr core::Duration kSlowAfter = std::chrono::seconds{1};
  static constexpr std::size_t kUnsentBytesMax = 128 * 1024;

  enum class Kind : std::uint8_t { memory, spool, file };
  struct Piece {
    Kind kind;
    std::string memory;
    UniqueFd file;
    std::uint64_t offset;  // memory: sent so far; file: start of the unsent part
    std::uint64_t bytes;   // unsent
  };

  /// How many of `wanted` bytes fit into memory. Small pieces are not split.
  std::size_t memory_room(std::size_t wanted) {
    const std::size_t room = memory_bytes_max_ - std::min(memory_bytes_max_, memory_bytes_);
    const std::size_t part = std::min(room, wanted);
    const std::size_t needed = memory_bytes_ + part;
    if (needed > memory_reserved_) {
      memory_reserved_ += budget_.response_memory.take_share(
          needed - memory_reserved_, memory_reserved_, StorageBudget::kMemoryShare);
    }
    const std::uint64_t granted =
        memory_reserved_ - std::min<std::uint64_t>(memory_reserved_, memory_bytes_);
    const auto fits = static_cast<std::size_t>(std::min<std::uint64_t>(part, granted));
    const std::size_t least = std::min(kMemoryPieceMin, memory_bytes_max_ / 4);
    return fits < std::min(wanted, least) ? 0 : fits;
  }

  std::size_t append_spool(std::span<const std::byte> bytes) {
    const std::size_t kept = spool_.append(bytes);
    if (kept == 0) return 0;
    if (!pieces_.empty() && pieces_.back().kind == Kind::spool) {
      pieces_.back().bytes += kept;
    } else {
      pieces_.push_back(Piece{Kind::spool, {}, {}, 0, kept});
    }
    grow(kept);
    return kept;
  }

  std::size_t append_memory(std::span<const std::byte> bytes, std::size_t count) {
    if (count == 0) return 0;
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    if (!pieces_.empty() && pieces_.back().kind == Kind::memory) {
      pieces_.back().memory.append(text, count);
      pieces_.back().bytes += count;
    } else {
      pieces_.push_back(Piece{Kind::memory, std::string(text, count), {}, 0, count});
    }
    memory_bytes_ += count;
    grow(count);
    return count;
  }

  Drained send_pieces(std::uint64_t budget, std::uint64_t& total) {
    while (!pieces_.empty()) {
      if (total >= budget) return Drained::more;
      Piece& piece = pieces_.front();
      const Result<std::size_t> sent = send_some(piece, budget - total);
      if (!sent) {
        return sent.error() == EAGAIN || sent.error() == EWOULDBLOCK ? Drained::blocked
                                                                     : Drained::broken;
      }
      if (*sent == 0) {
        file_ended_ = true;
        return Drained::broken;
      }
      total += *sent;
      shrink(piece, *sent);
    }
    return Drained::empty;
  }

  Result<std::size_t> send_some(Piece& piece, std::uint64_t budget) {
    std::uint64_t most = std::min({piece.bytes, budget, std::uint64_t{1} << 20});
    if (piece.kind == Kind::memory) {
      const bool more_follows = pieces_.size() > 1;
      return wire_.send(
          std::as_bytes(std::span(piece.memory))
              .subspan(static_cast<std::size_t>(piece.offset), static_cast<std::size_t>(most)),
          more_follows);
    }
    int from = piece.file.get();
    std::uint64_t offset = piece.offset;
    if (piece.kind == Kind::spool) {
      const auto front = spool_.front();
      from = front.fd;
      offset = front.offset;
      most = std::min(most, front.bytes);
    }
    const auto want = static_cast<std::size_t>(most);
    if (!copy_by_hand_) {
      const Result<std::size_t> sent = wire_.send_file(from, offset, want);
      if (sent || (sent.error() != EINVAL && sent.error() != ENOSYS)) return sent;
      copy_by_hand_ = true;  // a file system without sendfile
    }
    std::array<std::byte, 64 * 1024> block;
    const Result<std::size_t> got =
        sys_.pread(from, std::span(block).first(std::min(want, block.size())), offset);
    if (!got || *got == 0) return got;
    return wire_.send(std::span(block).first(*got), false);
  }

  void grow(std::uint64_t n) {
    if (bytes_.fetch_add(n, std::memory_order_acq_rel) != 0) return;
    began_ = true;
    unacked_ = wire_.unacked_bytes();
    looked_ = began_at_ = sys_.noticed_now();
    rate_.start(looked_);
  }

  void shrink(Piece& piece, std::size_t n) {
    piece.offset += n;
    piece.bytes -= n;
    if (piece.kind == Kind::memory) memory_bytes_ -= n;
    if (piece.kind == Kind::spool) spool_.consume(n);
    if (piece.bytes == 0) {
      drop_front();
    } else if (piece.kind == Kind::memory && piece.offset > piece.memory.size() / 2) {
      piece.memory.erase(0, static_cast<std::size_t>(piece.offset));
      piece.offset = 0;
    }
    release_memory();
    bytes_.fetch_sub(n, std::memory_order_acq_rel);
  }

  /// Count what the client has acknowledged since the last call as its progress; `sent` more bytes
  /// were sent meanwhile. Bytes that the socket took are not progress: they may stay in this
  /// machine's buffers for long. For Unix sockets, progress is what the client has read.
  void look(std::uint64_t sent) {
    const Result<std::size_t> left = wire_.unacked_bytes();
    // Read last: between an earlier reading and the system calls, this thread may have waited, or
    // been frozen. That time is not the client's.
    const core::Instant now = sys_.noticed_now();
    looked_ = now;
    if (!slow_ && now - began_at_ >= kSlowAfter) {
      slow_ = true;
      wire_.limit_unsent(kUnsentBytesMax);  // no effect on Unix sockets; their buffers are small
    }
    if (!left || !unacked_) {  // the kernel cannot tell
      if (sent != 0) rate_.progress(now, sent);
    } else {
      const std::uint64_t most = *unacked_ + sent;
      // A client that has received everything, now or until this was sent, waits for the server.
      const bool waited = *left == 0 || (*unacked_ == 0 && sent != 0);
      if (waited || *left < most) rate_.progress(now, most - std::min<std::uint64_t>(most, *left));
    }
    unacked_ = left;
  }

  [[nodiscard]] core::Instant next_look() const noexcept {
    const core::Instant due = rate_.deadline();
    if (look_every_ == core::Duration::zero()) return due;
    return std::min(due, core::later(looked_, look_every_));
  }

  void release_memory() noexcept {
    if (memory_reserved_ <= memory_bytes_) return;
    budget_.response_memory.give_back(memory_reserved_ - memory_bytes_);
    memory_reserved_ = memory_bytes_;
  }

  void drop_front() {
    Piece& piece = pieces_.front();
    if (piece.kind == Kind::file) {
      if (piece.file) sys_.close(piece.file.release());
      budget_.descriptors.remove();
    }
    pieces_.pop_front();
  }

  void step_forward() {
    progress_.fetch_add(1, std::memory_order_acq_rel);
    sys_.futex_wake(progress_, 1);
  }

  Sys& sys_;
  PlainWire<E>& wire_;
  StorageBudget& budget_;
  mutable Mutex<E> mutex_;
  std::deque<Piece> pieces_;
  std::size_t memory_bytes_ = 0;
  std::size_t memory_bytes_max_;
  std::uint64_t memory_reserved_ = 0;  // from the budget
  SpoolQueue<E> spool_;
  bool copy_by_hand_ = false;
  bool cleared_ = false;
  bool file_ended_ = false;
  std::uint64_t lost_bytes_ = 0;  // discarded
  bool began_ = false;
  const core::Duration look_every_;
  core::TransferRate rate_;
  Result<std::size_t> unacked_{std::size_t{0}};  // at the last look()
  core::Instant looked_{};                       // time of the last look()
  core::Instant began_at_{};                     // since when there is unsent output
  bool slow_ = false;
  Atomic<E, std::uint64_t> bytes_{0};
  Atomic<E, std::uint32_t> progress_{0};
};

}  // namespace iotax::driver
