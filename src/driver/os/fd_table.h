// The descriptors that belong to this process, so that the child of a fork can close them
// immediately. It must not know what they are for.
#pragma once

#include <unistd.h>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace iotax::driver {

/// A flag per descriptor number. Thread-safe. The constructor allocates everything and nothing
/// locks, so close_all() can be called in the child of a fork whatever the other threads were
/// doing.
class FdTable {
 public:
  /// Numbers from here on are not recorded: a process gets the lowest free number, so it would need
  /// this many open descriptors.
  static constexpr int kFdsMax = 1 << 20;

  FdTable() : words_(std::make_unique<std::atomic<std::uint64_t>[]>(kWords)) {}
  FdTable(FdTable&&) = delete;

  /// false: out of range.
  bool add(int fd) noexcept {
    if (fd < 0 || fd >= kFdsMax) return false;
    word(fd).fetch_or(bit(fd), std::memory_order_relaxed);
    return true;
  }
  /// Call it before closing the descriptor: afterwards another thread may get the same number.
  void remove(int fd) noexcept {
    if (fd >= 0 && fd < kFdsMax) word(fd).fetch_and(~bit(fd), std::memory_order_relaxed);
  }
  [[nodiscard]] bool contains(int fd) const noexcept {
    return fd >= 0 && fd < kFdsMax && (word(fd).load(std::memory_order_relaxed) & bit(fd)) != 0;
  }

  /// Close and remove all descriptors. Async-signal-safe. Does not use Sys: after a fork, errors of
  /// close() need no handling.
  void close_all() noexcept {
    for (std::size_t i = 0; i < kWords; ++i) {
      for (std::uint64_t bits = words_[i].exchange(0, std::memory_order_relaxed); bits != 0;
           bits &= bits - 1) {
        ::close(static_cast<int>(i * 64) + std::countr_zero(bits));
      }
    }
  }

 private:
  static constexpr std::size_t kWords = kFdsMax / 64;
  [[nodiscard]] std::atomic<std::uint64_t>& word(int fd) const noexcept {
    return words_[static_cast<std::size_t>(fd) / 64];
  }
  static std::uint64_t bit(int fd) noexcept {
    return std::uint64_t{1} << (static_cast<unsigned>(fd) % 64);
  }

  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
};

}  // namespace iotax::driver
