// Bytes that do not fit into memory: unlinked temporary files under one cap per worker. It must not
// know whose bytes they are.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "driver/result.h"
#include "driver/sys.h"

namespace iotax::driver {

/// What became of bytes that were to be kept. After `full` and `failed` nothing of them is kept,
/// and what was kept before still is.
enum class Stored : std::uint8_t {
  ok,
  full,    // the worker's cap is reached
  failed,  // the file could not be opened or written: disk full, descriptors run out, no folder
};

/// How many bytes may lie in the temporary files of one worker. Used by several threads.
class SpoolBudget {
 public:
  explicit SpoolBudget(std::uint64_t bytes_max) noexcept : left_(bytes_max) {}

  [[nodiscard]] bool take(std::uint64_t bytes) noexcept {
    std::uint64_t left = left_.load(std::memory_order_relaxed);
    do {
      if (left < bytes) return false;
    } while (!left_.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed));
    return true;
  }
  void give_back(std::uint64_t bytes) noexcept {
    left_.fetch_add(bytes, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t left() const noexcept {
    return left_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> left_;
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

/// A temporary file without a name, opened at the first append(). One user at a time.
template <class Sys>
class SpoolFile {
 public:
  /// `sys` and `budget` are borrowed. `dir` as found by find_spool_dir(); empty: /tmp.
  SpoolFile(Sys& sys, SpoolBudget& budget, std::string dir)
      : sys_(sys), budget_(budget), dir_(dir.empty() ? "/tmp" : std::move(dir)) {}
  SpoolFile(SpoolFile&&) = delete;
  ~SpoolFile() { clear(); }

  Stored append(std::span<const std::byte> bytes) {
    if (bytes.empty()) return Stored::ok;
    if (!budget_.take(bytes.size())) return Stored::full;
    error_ = write(bytes);
    if (error_ != 0) {
      budget_.give_back(bytes.size());
      return Stored::failed;
    }
    size_ += bytes.size();
    return Stored::ok;
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

  /// Close the file; the bytes go back to the budget.
  void clear() noexcept {
    if (fd_ >= 0) sys_.close(std::exchange(fd_, -1));
    budget_.give_back(std::exchange(size_, 0));
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// The file for sendfile(); -1 while nothing was stored. It stays this object's.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// The errno of the last append() that failed.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  /// Behind what is kept; an attempt that failed half-way is written over by the next.
  int write(std::span<const std::byte> bytes) {
    if (fd_ < 0) {
      const auto fd = sys_.open_temporary(dir_);
      if (!fd) return fd.error();
      fd_ = *fd;
    }
    for (std::uint64_t at = size_; !bytes.empty();) {
      const auto written = sys_.pwrite(fd_, bytes, at);
      if (!written) return written.error();
      if (*written == 0) return EIO;
      at += *written;
      bytes = bytes.subspan(*written);
    }
    return 0;
  }

  Sys& sys_;
  SpoolBudget& budget_;
  std::string dir_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
  int error_ = 0;
};

/// Bytes in order: the first `memory_bytes_max` in memory, the rest in a temporary file. Where
/// there is no folder for that, all stays in memory, and what is there beyond `memory_bytes_max`
/// counts against the same cap.
template <class Sys>
class ByteStore {
 public:
  ByteStore(Sys& sys, SpoolBudget& budget, std::string dir, std::size_t memory_bytes_max)
      : budget_(budget), file_(sys, budget, std::move(dir)), memory_bytes_max_(memory_bytes_max) {}
  ByteStore(ByteStore&&) = delete;
  ~ByteStore() { budget_.give_back(charged_); }

  Stored append(std::span<const std::byte> bytes) {
    if (memory_only_) return append_beyond(bytes);
    const std::size_t room = file_.size() > 0 ? 0 : memory_bytes_max_ - memory_.size();
    const auto first = bytes.first(std::min(room, bytes.size()));
    const auto rest = bytes.subspan(first.size());
    // The file first: it can fail, and then nothing may be kept.
    const Stored stored = file_.append(rest);
    if (stored == Stored::failed && file_.size() == 0 && folder_unusable(file_.error())) {
      memory_only_ = true;
      return append_beyond(bytes);
    }
    if (stored == Stored::ok) memory_.insert(memory_.end(), first.begin(), first.end());
    return stored;
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return memory_.size() + file_.size(); }
  /// All of it, when it lies in memory. The view ends with the next append().
  [[nodiscard]] std::optional<std::span<const std::byte>> in_memory() const noexcept {
    if (file_.size() > 0) return std::nullopt;
    return std::span<const std::byte>(memory_);
  }
  /// The file, which stays this object's; -1: there is none.
  [[nodiscard]] int file_fd() const noexcept { return file_.fd(); }
  /// From `offset` on, perhaps less than asked for; 0 bytes: the end.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) {
    if (offset >= memory_.size()) return file_.read_at(offset - memory_.size(), into);
    const auto from = std::span<const std::byte>(memory_).subspan(static_cast<std::size_t>(offset));
    const auto part = from.first(std::min(from.size(), into.size()));
    std::copy(part.begin(), part.end(), into.begin());
    return part.size();
  }

 private:
  Stored append_beyond(std::span<const std::byte> bytes) {
    const std::size_t room = memory_bytes_max_ - std::min(memory_bytes_max_, memory_.size());
    const std::size_t beyond = bytes.size() - std::min(room, bytes.size());
    if (!budget_.take(beyond)) return Stored::full;
    charged_ += beyond;
    memory_.insert(memory_.end(), bytes.begin(), bytes.end());
    return Stored::ok;
  }

  SpoolBudget& budget_;
  SpoolFile<Sys> file_;
  std::vector<std::byte> memory_;
  std::size_t memory_bytes_max_;
  std::uint64_t charged_ = 0;
  bool memory_only_ = false;
};

}  // namespace iotax::driver
