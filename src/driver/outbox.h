// What a reader has not taken yet: memory up to a bound, then an unlinked temporary file, and files
// of the application, in order. Filled by the thread that runs the request, emptied by the leader
// when the socket is writable, or by either as they pass. It must not know whose request it is. All
// calls lock; the order is: lead's mutex, then this one.
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
#include "core/pace.h"
#include "driver/spool.h"
#include "driver/sys.h"
#include "driver/unique_fd.h"

namespace iotax::driver {

enum class Drained : std::uint8_t { empty, blocked, more, broken };

template <class Sys>
class Outbox {
 public:
  /// `memory_bytes_max` of waiting bytes in memory; the rest goes to a temporary file within
  /// `budget`.
  Outbox(Sys& sys, SpoolBudget& budget, const std::string& spool_dir, std::size_t memory_bytes_max,
         const core::Limits& limits)
      : sys_(sys),
        memory_bytes_max_(memory_bytes_max),
        spool_(sys, budget, spool_dir),
        pace_(core::Pace::Rules{limits.send_timeout, limits.rate_grace, limits.rate_bytes_min}) {}
  ~Outbox() { clear(); }
  Outbox(Outbox&&) = delete;

  /// Take a copy of `bytes`: memory, then the temporary file; beyond both, memory all the same (see
  /// overfull()).
  void append(std::span<const std::byte> bytes, core::Instant now) {
    if (bytes.empty()) return;
    const std::lock_guard lock(mutex_);
    if (memory_bytes_ + bytes.size() > memory_bytes_max_ && append_spool(bytes, now)) return;
    append_memory(bytes, now);
  }

  void append_file(UniqueFd file, std::uint64_t offset, std::uint64_t length, core::Instant now) {
    if (length == 0) return;
    const std::lock_guard lock(mutex_);
    pieces_.push_back(Piece{Kind::file, {}, std::move(file), offset, length});
    grow(length, now);
  }

  /// Send at most about `budget` bytes. broken: the peer is gone, or a file is shorter than was
  /// promised. Then nothing is forgotten before clear(), so that nobody takes what comes next for
  /// what comes first.
  Drained drain(int fd, std::uint64_t budget, core::Instant now) {
    const std::lock_guard lock(mutex_);
    while (!pieces_.empty()) {
      if (budget == 0) return Drained::more;
      Piece& piece = pieces_.front();
      const Result<std::size_t> sent = send_some(fd, piece, budget);
      if (!sent) {
        return sent.error() == EAGAIN || sent.error() == EWOULDBLOCK ? Drained::blocked
                                                                     : Drained::broken;
      }
      if (*sent == 0) return Drained::broken;  // the file ended early
      budget -= std::min<std::uint64_t>(budget, *sent);
      shrink(piece, *sent, now);
    }
    spool_.clear();
    return Drained::empty;
  }

  /// Forget everything: the client is gone, which Session::gone says by now.
  void clear() {
    const std::lock_guard lock(mutex_);
    while (!pieces_.empty()) drop_front();
    spool_.clear();
    memory_bytes_ = 0;
    bytes_.store(0, std::memory_order_release);
    step_forward();
  }

  [[nodiscard]] bool empty() const noexcept { return bytes_.load(std::memory_order_acquire) == 0; }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return bytes_.load(std::memory_order_acquire);
  }
  /// More waits than memory and temporary file may hold: the application has to wait for the
  /// reader.
  [[nodiscard]] bool overfull() const {
    const std::lock_guard lock(mutex_);
    return memory_bytes_ > memory_bytes_max_;
  }
  [[nodiscard]] core::Instant deadline() const {
    const std::lock_guard lock(mutex_);
    return bytes() == 0 ? core::kNever : pace_.deadline();
  }
  [[nodiscard]] bool late(core::Instant now) const {
    const std::lock_guard lock(mutex_);
    return bytes() != 0 && pace_.late(now);
  }
  /// Whether something has come to wait where nothing did, since the last call. Whoever asks has
  /// the socket watched: the leader stops that when nothing waits.
  [[nodiscard]] bool take_began() {
    const std::lock_guard lock(mutex_);
    return std::exchange(began_, false);
  }
  /// Grows with every step forward, so that a thread that waits for room can sleep on it.
  [[nodiscard]] typename Sys::template Atomic<std::uint32_t>& progress() noexcept {
    return progress_;
  }

 private:
  enum class Kind : std::uint8_t { memory, spool, file };
  struct Piece {
    Kind kind;
    std::string memory;
    UniqueFd file;
    std::uint64_t offset;  // memory: sent so far; spool, file: where the rest begins
    std::uint64_t bytes;   // not yet sent
  };

  bool append_spool(std::span<const std::byte> bytes, core::Instant now) {
    const std::uint64_t offset = spool_.size();
    if (spool_.append(bytes) != Stored::ok) return false;
    if (!pieces_.empty() && pieces_.back().kind == Kind::spool) {
      pieces_.back().bytes += bytes.size();
    } else {
      pieces_.push_back(Piece{Kind::spool, {}, {}, offset, bytes.size()});
    }
    grow(bytes.size(), now);
    return true;
  }

  void append_memory(std::span<const std::byte> bytes, core::Instant now) {
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    if (!pieces_.empty() && pieces_.back().kind == Kind::memory) {
      pieces_.back().memory.append(text, bytes.size());
      pieces_.back().bytes += bytes.size();
    } else {
      pieces_.push_back(Piece{Kind::memory, std::string(text, bytes.size()), {}, 0, bytes.size()});
    }
    memory_bytes_ += bytes.size();
    grow(bytes.size(), now);
  }

  Result<std::size_t> send_some(int fd, Piece& piece, std::uint64_t budget) {
    const auto want =
        static_cast<std::size_t>(std::min({piece.bytes, budget, std::uint64_t{1} << 20}));
    if (piece.kind == Kind::memory) {
      const bool more_follows = pieces_.size() > 1;
      return sys_.send(fd, std::as_bytes(std::span(piece.memory)).subspan(piece.offset, want),
                       more_follows);
    }
    const int from = piece.kind == Kind::file ? piece.file.get() : spool_.fd();
    if (!copy_by_hand_) {
      const Result<std::size_t> sent = sys_.sendfile(fd, from, piece.offset, want);
      if (sent || (sent.error() != EINVAL && sent.error() != ENOSYS)) return sent;
      copy_by_hand_ = true;  // a file system without sendfile
    }
    std::array<std::byte, 64 * 1024> block;
    const Result<std::size_t> got =
        sys_.pread(from, std::span(block).first(std::min(want, block.size())), piece.offset);
    if (!got || *got == 0) return got;
    return sys_.send(fd, std::span(block).first(*got), false);
  }

  void grow(std::uint64_t n, core::Instant now) {
    if (bytes_.fetch_add(n, std::memory_order_acq_rel) != 0) return;
    began_ = true;
    pace_.start(now);
  }

  void shrink(Piece& piece, std::size_t n, core::Instant now) {
    piece.offset += n;
    piece.bytes -= n;
    if (piece.kind == Kind::memory) memory_bytes_ -= n;
    if (piece.bytes == 0) {
      drop_front();
    } else if (piece.kind == Kind::memory && piece.offset > piece.memory.size() / 2) {
      piece.memory.erase(0, static_cast<std::size_t>(piece.offset));
      piece.offset = 0;
    }
    bytes_.fetch_sub(n, std::memory_order_acq_rel);
    pace_.progress(now, n);
    step_forward();
  }

  void drop_front() {
    Piece& piece = pieces_.front();
    if (piece.file) sys_.close(piece.file.release());
    pieces_.pop_front();
  }

  void step_forward() {
    progress_.fetch_add(1, std::memory_order_acq_rel);
    sys_.futex_wake(progress_, 1);
  }

  Sys& sys_;
  mutable typename Sys::Mutex mutex_;
  std::deque<Piece> pieces_;
  std::size_t memory_bytes_ = 0;
  std::size_t memory_bytes_max_;
  SpoolFile<Sys> spool_;
  bool copy_by_hand_ = false;
  bool began_ = false;
  core::Pace pace_;
  typename Sys::template Atomic<std::uint64_t> bytes_{0};
  typename Sys::template Atomic<std::uint32_t> progress_{0};
};

}  // namespace iotax::driver
