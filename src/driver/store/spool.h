// Bytes that do not fit into memory: unlinked temporary files, and what all of them together may
// use. It must not know whose bytes they are.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "driver/env.h"
#include "driver/os/result.h"
#include "driver/os/sys.h"

namespace iotax::driver {

/// What became of bytes that were to be kept. After `full` and `failed` nothing of them is kept,
/// and what was kept before still is.
enum class Stored : std::uint8_t {
  ok,
  full,    // the worker's cap is reached
  failed,  // the file could not be opened or written: disk full, descriptors run out, no folder
};

/// Something that is there in a fixed quantity. Used by several threads.
class Quantity {
 public:
  /// How much one holder may have of what is left: `parts` for each `of` that it leaves.
  struct Share {
    std::uint64_t parts;
    std::uint64_t of;
  };

  explicit Quantity(std::uint64_t most) noexcept : left_(most) {}

  /// All of it or nothing.
  [[nodiscard]] bool take(std::uint64_t wanted) noexcept {
    std::uint64_t left = this->left();
    do {
      if (left < wanted) return false;
    } while (!left_.compare_exchange_weak(left, left - wanted, std::memory_order_relaxed));
    return true;
  }
  /// As much of `wanted` as is left; how much that is.
  [[nodiscard]] std::uint64_t take_up_to(std::uint64_t wanted) noexcept {
    std::uint64_t left = this->left();
    std::uint64_t taken = 0;
    do {
      taken = std::min(wanted, left);
    } while (!left_.compare_exchange_weak(left, left - taken, std::memory_order_relaxed));
    return taken;
  }
  /// As much of `wanted` as one holder may have that has `own` already; how much that is. Whoever
  /// has much leaves something to the others, so a newcomer finds room at once.
  [[nodiscard]] std::uint64_t take_share(std::uint64_t wanted, std::uint64_t own,
                                         Share share) noexcept {
    std::uint64_t left = this->left();
    std::uint64_t taken = 0;
    do {
      taken = std::min(wanted, share_of(left, own, share));
      if (taken == 0) return 0;
    } while (!left_.compare_exchange_weak(left, left - taken, std::memory_order_relaxed));
    return taken;
  }
  /// The most that take_share() would give now.
  [[nodiscard]] std::uint64_t share_left(std::uint64_t own, Share share) const noexcept {
    return share_of(left(), own, share);
  }
  void give_back(std::uint64_t quantity) noexcept {
    left_.fetch_add(quantity, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t left() const noexcept {
    return left_.load(std::memory_order_relaxed);
  }

 private:
  /// The largest n for which own + n <= parts / of * (left - n).
  static std::uint64_t share_of(std::uint64_t left, std::uint64_t own, Share share) noexcept {
    constexpr std::uint64_t kMost = UINT64_MAX / 1024;  // so large that nobody counts
    const std::uint64_t allowed = std::min(left, kMost) * share.parts;
    const std::uint64_t held = std::min(own, kMost) * share.of;
    return allowed <= held ? 0 : std::min(left, (allowed - held) / (share.parts + share.of));
  }

  std::atomic<std::uint64_t> left_;
};

/// The descriptors of one worker for connections and for the files of their bodies. A connection
/// that the system has accepted counts in any case; a temporary file is only opened where a
/// descriptor is left. Used by several threads.
class DescriptorBudget {
 public:
  /// `most` in all. Temporary files have at most a quarter, so that connections can be accepted
  /// beside them.
  void set_most(std::size_t most) noexcept {
    most_.store(most, std::memory_order_relaxed);
    temporary_most_.store(std::max<std::size_t>(most / 4, 1), std::memory_order_relaxed);
  }
  /// A connection, or a file that the application has given.
  void add() noexcept { used_.fetch_add(1, std::memory_order_relaxed); }
  void remove() noexcept { used_.fetch_sub(1, std::memory_order_relaxed); }
  /// False: none is left.
  [[nodiscard]] bool add_temporary() noexcept {
    if (temporary_.fetch_add(1, std::memory_order_relaxed) <
        temporary_most_.load(std::memory_order_relaxed)) {
      if (used_.fetch_add(1, std::memory_order_relaxed) < most_.load(std::memory_order_relaxed)) {
        return true;
      }
      remove();
    }
    temporary_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void remove_temporary() noexcept {
    temporary_.fetch_sub(1, std::memory_order_relaxed);
    remove();
  }
  /// None is left for another connection.
  [[nodiscard]] bool exhausted() const noexcept {
    return used() >= most_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> most_{SIZE_MAX};
  std::atomic<std::size_t> temporary_most_{SIZE_MAX};
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> temporary_{0};
};

/// What the bodies of all requests and responses of one worker may use together.
struct StorageBudget {
  /// In bytes: temporary files; request bodies in memory; unsent responses in memory.
  explicit StorageBudget(std::uint64_t spool_bytes_max,
                         std::uint64_t request_memory_max = UINT64_MAX,
                         std::uint64_t response_memory_max = UINT64_MAX) noexcept
      : spool(spool_bytes_max),
        response_spool(spool_bytes_max - spool_bytes_max / 4),
        request_memory(request_memory_max),
        response_memory(response_memory_max),
        segment_bytes(std::max(spool_bytes_max / 32, kSegmentBytesMin)) {}

  /// A request body cannot wait: refused is all that it can be. A response can, so one leaves a
  /// ninth of the room to the others.
  static constexpr Quantity::Share kSpoolShare{8, 1};
  /// Small bodies find room in memory whatever the large ones take.
  static constexpr Quantity::Share kMemoryShare{1, 16};
  static constexpr std::uint64_t kSegmentBytesMin = 64 * 1024;

  Quantity spool;           // of all temporary files
  Quantity response_spool;  // the part of it that responses may use: a quarter is for requests
  Quantity request_memory;
  Quantity response_memory;
  DescriptorBudget descriptors;
  const std::uint64_t segment_bytes;  // of a file that holds a part of a response
};

/// The first folder in which a temporary file can be made: `configured`, or when that is empty
/// $TMPDIR, /tmp, /var/tmp. Nothing: there is none. Reads the environment, so call it where nobody
/// changes that at the same time.
template <SysLike Sys>
[[nodiscard]] std::optional<std::string> find_spool_dir(Sys& sys, const std::string& configured) {
  std::vector<std::string> candidates{configured};
  if (configured.empty()) candidates = {sys.environment("TMPDIR").value_or(""), "/tmp", "/var/tmp"};
  for (std::string& dir : candidates) {
    if (dir.empty()) continue;
    const auto fd = sys.open_temporary(dir);
    if (!fd) continue;
    sys.close(*fd);
    return std::move(dir);
  }
  return std::nullopt;
}

/// Whether an errno of open_temporary() says that the folder can not be used at all, rather than
/// not just now.
[[nodiscard]] constexpr bool folder_unusable(int error) noexcept {
  return error == EACCES || error == EPERM || error == EROFS || error == ENOENT || error == ENOTDIR;
}

/// A temporary file without a name, opened at the first append(). It counts its descriptor, not its
/// bytes. One user at a time.
template <Env E>
class TemporaryFile {
 public:
  using Sys = typename E::Sys;
  /// `sys` and `budget` are borrowed. `dir` as found by find_spool_dir(); empty: /tmp.
  TemporaryFile(Sys& sys, StorageBudget& budget, const std::string& dir)
      : sys_(sys), budget_(budget), dir_(dir.empty() ? "/tmp" : dir) {}
  TemporaryFile(TemporaryFile&&) = delete;
  ~TemporaryFile() { clear(); }

  /// 0, or an errno: then nothing of `bytes` is kept. EMFILE also where the budget has no
  /// descriptor left.
  int append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return 0;
    if (const int error = open(); error != 0) return error;
    // Behind what is kept; an attempt that failed half-way is written over by the next.
    std::uint64_t at = size_;
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const auto written = sys_.pwrite(fd_, rest, at);
      if (!written) return written.error();
      if (*written == 0) return EIO;
      at += *written;
      rest = rest.subspan(*written);
    }
    size_ = at;
    return 0;
  }

  /// 0 bytes: the end.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) {
    if (offset >= size_) return std::size_t{0};
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - offset));
    const auto got = sys_.pread(fd_, into.first(wanted), offset);
    if (got && *got == 0 && wanted > 0) return Errno{EIO};  // somebody cut the file
    return got;
  }

  void clear() noexcept {
    size_ = 0;
    if (fd_ < 0) return;
    sys_.close(std::exchange(fd_, -1));
    budget_.descriptors.remove_temporary();
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// The file for sendfile(); -1 while nothing was stored. It stays this object's.
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int open() {
    if (fd_ >= 0) return 0;
    if (!budget_.descriptors.add_temporary()) return EMFILE;
    const auto fd = sys_.open_temporary(dir_);
    if (!fd) {
      budget_.descriptors.remove_temporary();
      return fd.error();
    }
    fd_ = *fd;
    return 0;
  }

  Sys& sys_;
  StorageBudget& budget_;
  std::string dir_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
};

/// A temporary file that may have all that is left of the spool. One user at a time.
template <Env E>
class SpoolFile {
 public:
  using Sys = typename E::Sys;
  SpoolFile(Sys& sys, StorageBudget& budget, const std::string& dir)
      : budget_(budget), file_(sys, budget, dir) {}
  SpoolFile(SpoolFile&&) = delete;
  ~SpoolFile() { clear(); }

  Stored append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return Stored::ok;
    if (!budget_.spool.take(bytes.size())) return Stored::full;
    error_ = file_.append(bytes);
    if (error_ == 0) return Stored::ok;
    budget_.spool.give_back(bytes.size());
    return Stored::failed;
  }
  /// 0 bytes: the end.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) {
    return file_.read_at(offset, into);
  }
  /// Close the file; the bytes go back to the budget.
  void clear() noexcept {
    const std::uint64_t bytes = file_.size();
    file_.clear();  // first, or another would write into room that is not there yet
    budget_.spool.give_back(bytes);
  }
  [[nodiscard]] std::uint64_t size() const noexcept { return file_.size(); }
  /// The file for sendfile(); -1 while nothing was stored. It stays this object's.
  [[nodiscard]] int fd() const noexcept { return file_.fd(); }
  /// The errno of the last append() that failed.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  StorageBudget& budget_;
  TemporaryFile<E> file_;
  int error_ = 0;
};

/// Bytes that are taken out in the order in which they were put in. They lie in several temporary
/// files, so that room comes back as they are taken: a file is closed when it is used up. (Punching
/// holes would do with one file, but sendfile() hands the pages of the file to the socket, and a
/// hole that ends inside of a large page writes zeros into what is under way.) One user at a time.
template <Env E>
class SpoolQueue {
 public:
  using Sys = typename E::Sys;
  SpoolQueue(Sys& sys, StorageBudget& budget, const std::string& dir)
      : sys_(sys), budget_(budget), dir_(dir) {}
  SpoolQueue(SpoolQueue&&) = delete;
  ~SpoolQueue() { clear(); }

  /// Keep as much of the beginning of `bytes` as there is room for; how much that is.
  std::size_t append(std::span<const std::byte> bytes) {
    std::size_t kept = 0;
    while (kept < bytes.size()) {
      const std::size_t part = append_part(bytes.subspan(kept));
      if (part == 0) break;
      kept += part;
    }
    return kept;
  }
  /// What append() would keep now, if the files can be written.
  [[nodiscard]] std::uint64_t room() const noexcept {
    return std::min(budget_.response_spool.share_left(held_, StorageBudget::kSpoolShare),
                    budget_.spool.left());
  }

  /// The next bytes: at `offset` of a file that stays this object's. Not while empty().
  struct Front {
    int fd;
    std::uint64_t offset;
    std::uint64_t bytes;
  };
  [[nodiscard]] Front front() const noexcept {
    const Segment& first = segments_.front();
    return {first.file.fd(), first.taken, first.file.size() - first.taken};
  }
  /// The first `bytes` of front() are not needed any more.
  void consume(std::uint64_t bytes) noexcept {
    Segment& first = segments_.front();
    first.taken += bytes;
    if (first.taken == first.file.size()) drop_front();
  }
  void clear() noexcept {
    while (!segments_.empty()) drop_front();
  }
  [[nodiscard]] bool empty() const noexcept { return segments_.empty(); }

 private:
  struct Segment {
    Segment(Sys& sys, StorageBudget& budget, const std::string& dir) : file(sys, budget, dir) {}
    TemporaryFile<E> file;
    std::uint64_t taken = 0;
  };

  std::size_t append_part(std::span<const std::byte> bytes) {
    const bool begins = segments_.empty() || segments_.back().file.size() >= budget_.segment_bytes;
    const std::uint64_t fits = budget_.segment_bytes - (begins ? 0 : segments_.back().file.size());
    const std::uint64_t granted = take(std::min<std::uint64_t>(bytes.size(), fits));
    if (granted == 0) return 0;
    if (begins) segments_.emplace_back(sys_, budget_, dir_);
    TemporaryFile<E>& file = segments_.back().file;
    if (file.append(bytes.first(static_cast<std::size_t>(granted))) == 0) {
      held_ += granted;
      return static_cast<std::size_t>(granted);
    }
    give_back(granted);
    if (begins) segments_.pop_back();
    return 0;
  }

  std::uint64_t take(std::uint64_t wanted) noexcept {
    const std::uint64_t granted =
        budget_.response_spool.take_share(wanted, held_, StorageBudget::kSpoolShare);
    const std::uint64_t had = budget_.spool.take_up_to(granted);
    budget_.response_spool.give_back(granted - had);
    return had;
  }
  void give_back(std::uint64_t bytes) noexcept {
    budget_.response_spool.give_back(bytes);
    budget_.spool.give_back(bytes);
  }
  void drop_front() noexcept {
    const std::uint64_t bytes = segments_.front().file.size();
    held_ -= bytes;
    segments_.pop_front();  // first, or another would write into room that is not there yet
    give_back(bytes);
  }

  Sys& sys_;
  StorageBudget& budget_;
  std::string dir_;
  std::deque<Segment> segments_;
  std::uint64_t held_ = 0;  // of the budget, with what is taken of the first file
};

}  // namespace iotax::driver
