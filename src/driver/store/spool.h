// Bytes that do not fit into memory: unlinked temporary files, and the limit for all of them
// together. It must not know whose bytes they are.
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

/// Result of storing bytes. After `full` and `failed` none of the new bytes are kept; earlier ones
/// still are.
enum class Stored : std::uint8_t {
  ok,
  full,    // the worker's limit is reached
  failed,  // the file could not be opened or written: disk full, no descriptors left, no directory
};

/// A limited resource, counted. Thread-safe.
class Quantity {
 public:
  /// How much one user may take of what is left: `parts` for each `of` that remain.
  struct Share {
    std::uint64_t parts;
    std::uint64_t of;
  };

  explicit Quantity(std::uint64_t most) noexcept : left_(most) {}

  /// Take all of `wanted` or nothing.
  [[nodiscard]] bool take(std::uint64_t wanted) noexcept {
    std::uint64_t left = this->left();
    do {
      if (left < wanted) return false;
    } while (!left_.compare_exchange_weak(left, left - wanted, std::memory_order_relaxed));
    return true;
  }
  /// Take as much of `wanted` as is left. Returns how much.
  [[nodiscard]] std::uint64_t take_up_to(std::uint64_t wanted) noexcept {
    std::uint64_t left = this->left();
    std::uint64_t taken = 0;
    do {
      taken = std::min(wanted, left);
    } while (!left_.compare_exchange_weak(left, left - taken, std::memory_order_relaxed));
    return taken;
  }
  /// Take as much of `wanted` as a user may have that has `own` already. Returns how much. Large
  /// users leave some for others, so a new one finds room immediately.
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
  /// The maximum that take_share() would return now.
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
    constexpr std::uint64_t kMost = UINT64_MAX / 1024;  // larger than any real limit
    const std::uint64_t allowed = std::min(left, kMost) * share.parts;
    const std::uint64_t held = std::min(own, kMost) * share.of;
    return allowed <= held ? 0 : std::min(left, (allowed - held) / (share.parts + share.of));
  }

  std::atomic<std::uint64_t> left_;
};

/// The descriptors of one worker for connections and for the files of their bodies. An accepted
/// connection always counts; a temporary file is opened only if a descriptor is left. Thread-safe.
class DescriptorBudget {
 public:
  /// Allow `most` descriptors in all. Temporary files may use at most a quarter, so that
  /// connections can still be accepted.
  void set_most(std::size_t most) noexcept {
    most_.store(most, std::memory_order_relaxed);
    temporary_most_.store(std::max<std::size_t>(most / 4, 1), std::memory_order_relaxed);
  }
  /// Count a connection, or a file that the application has given.
  void add() noexcept { used_.fetch_add(1, std::memory_order_relaxed); }
  void remove() noexcept { used_.fetch_sub(1, std::memory_order_relaxed); }
  /// Count a temporary file. False: no descriptor is left.
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
  /// Whether no descriptor is left for another connection.
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

/// Storage that the bodies of all requests and responses of one worker may use together.
struct StorageBudget {
  /// In bytes: temporary files; request bodies in memory; unsent output in memory.
  explicit StorageBudget(std::uint64_t spool_bytes_max,
                         std::uint64_t request_memory_max = UINT64_MAX,
                         std::uint64_t response_memory_max = UINT64_MAX) noexcept
      : spool(spool_bytes_max),
        response_spool(spool_bytes_max - spool_bytes_max / 4),
        request_memory(request_memory_max),
        response_memory(response_memory_max),
        segment_bytes(std::max(spool_bytes_max / 32, kSegmentBytesMin)) {}

  /// A request body without room can only be rejected. A response can wait, so each response leaves
  /// a ninth of the room to others.
  static constexpr Quantity::Share kSpoolShare{8, 1};
  /// Small bodies find room in memory however much the large ones use.
  static constexpr Quantity::Share kMemoryShare{1, 16};
  static constexpr std::uint64_t kSegmentBytesMin = 64 * 1024;

  Quantity spool;           // all temporary files
  Quantity response_spool;  // the part of it that responses may use: a quarter is for requests
  Quantity request_memory;
  Quantity response_memory;
  DescriptorBudget descriptors;
  const std::uint64_t segment_bytes;  // size of a file that holds a part of a response
};

/// Find the first directory in which a temporary file can be made: `configured`, or if that is
/// empty $TMPDIR, /tmp, /var/tmp. Empty: there is none. Reads the environment, so no other thread
/// may change it at the same time.
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

/// Whether an errno of open_temporary() means that the directory cannot be used at all, rather than
/// not at the moment.
[[nodiscard]] constexpr bool directory_unusable(int error) noexcept {
  return error == EACCES || error == EPERM || error == EROFS || error == ENOENT || error == ENOTDIR;
}

/// A temporary file without a name, opened at the first append(). Counts its descriptor, but not
/// its bytes, against the budget. Not thread-safe.
template <Env E>
class TemporaryFile {
 public:
  using Sys = typename E::Sys;
  /// `sys` and `budget` are borrowed. `dir` comes from find_spool_dir(); empty: /tmp.
  TemporaryFile(Sys& sys, StorageBudget& budget, const std::string& dir)
      : sys_(sys), budget_(budget), dir_(dir.empty() ? "/tmp" : dir) {}
  TemporaryFile(TemporaryFile&&) = delete;
  ~TemporaryFile() { clear(); }

  /// Returns 0, or an errno; then none of `bytes` are kept. EMFILE also if the budget has no
  /// descriptor left.
  int append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return 0;
    if (const int error = open(); error != 0) return error;
    // After the bytes that are kept; a partial write that failed is overwritten by the next.
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

  /// Returns 0 bytes at the end.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) {
    if (offset >= size_) return std::size_t{0};
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size_ - offset));
    const auto got = sys_.pread(fd_, into.first(wanted), offset);
    if (got && *got == 0 && wanted > 0) return Errno{EIO};  // another process truncated the file
    return got;
  }

  void clear() noexcept {
    size_ = 0;
    if (fd_ < 0) return;
    sys_.close(std::exchange(fd_, -1));
    budget_.descriptors.remove_temporary();
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// The file for sendfile(); -1 while nothing is stored. Owned by this object.
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

/// A temporary file that may use all that is left of the spool. Not thread-safe.
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
  /// Returns 0 bytes at the end.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) {
    return file_.read_at(offset, into);
  }
  /// Close the file and return its bytes to the budget.
  void clear() noexcept {
    const std::uint64_t bytes = file_.size();
    file_.clear();  // first: otherwise another user would take room that is not free yet
    budget_.spool.give_back(bytes);
  }
  [[nodiscard]] std::uint64_t size() const noexcept { return file_.size(); }
  /// The file for sendfile(); -1 while nothing is stored. Owned by this object.
  [[nodiscard]] int fd() const noexcept { return file_.fd(); }
  /// The errno of the last append() that failed.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  StorageBudget& budget_;
  TemporaryFile<E> file_;
  int error_ = 0;
};

/// A queue of bytes in several temporary files. A file is closed when it has been consumed, which
/// frees its room. (Punching holes into a single file would free it too, but sendfile() passes the
/// pages of the file to the socket, and a hole that ends inside a large page writes zeros into data
/// not yet sent.) Not thread-safe.
template <Env E>
class SpoolQueue {
 public:
  using Sys = typename E::Sys;
  SpoolQueue(Sys& sys, StorageBudget& budget, const std::string& dir)
      : sys_(sys), budget_(budget), dir_(dir) {}
  SpoolQueue(SpoolQueue&&) = delete;
  ~SpoolQueue() { clear(); }

  /// Append as much of the beginning of `bytes` as there is room for. Returns how many bytes.
  std::size_t append(std::span<const std::byte> bytes) {
    std::size_t kept = 0;
    while (kept < bytes.size()) {
      const std::size_t part = append_part(bytes.subspan(kept));
      if (part == 0) break;
      kept += part;
    }
    return kept;
  }
  /// How much append() would keep now if the files can be written.
  [[nodiscard]] std::uint64_t room() const noexcept {
    return std::min(budget_.response_spool.share_left(held_, StorageBudget::kSpoolShare),
                    budget_.spool.left());
  }

  /// The next bytes: at `offset` of a file that this object owns. Not while empty().
  struct Front {
    int fd;
    std::uint64_t offset;
    std::uint64_t bytes;
  };
  [[nodiscard]] Front front() const noexcept {
    const Segment& first = segments_.front();
    return {first.file.fd(), first.taken, first.file.size() - first.taken};
  }
  /// Drop the first `bytes` of front().
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
    segments_.pop_front();  // first: otherwise another user would take room that is not free yet
    give_back(bytes);
  }

  Sys& sys_;
  StorageBudget& budget_;
  std::string dir_;
  std::deque<Segment> segments_;
  std::uint64_t held_ = 0;  // from the budget, including consumed bytes of the first file
};

}  // namespace iotax::driver
