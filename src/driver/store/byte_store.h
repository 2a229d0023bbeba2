// The body of a request: in memory, then in a temporary file. It must not know which request it is
// for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "driver/env.h"
#include "driver/os/result.h"
#include "driver/store/spool.h"

namespace iotax::driver {

/// Bytes in order: the first `memory_bytes_max` in memory, as far as the budget allows, the rest in
/// a temporary file. Without a directory for the file, everything stays in memory, and bytes that
/// would be in the file still count against the spool.
template <Env E>
class ByteStore {
 public:
  using Sys = typename E::Sys;
  ByteStore(Sys& sys, StorageBudget& budget, const std::string& dir, std::size_t memory_bytes_max)
      : budget_(budget), file_(sys, budget, dir), memory_bytes_max_(memory_bytes_max) {}
  ByteStore(ByteStore&&) = delete;
  ~ByteStore() {
    budget_.request_memory.give_back(reserved_);
    budget_.spool.give_back(charged_);
  }

  Stored append(std::span<const std::byte> bytes) {
    const auto first = bytes.first(memory_room(bytes.size()));
    const auto rest = bytes.subspan(first.size());
    // The file first: it can fail, and then nothing may be kept.
    const Stored stored = keep_rest(rest);
    if (stored != Stored::ok) return stored;
    memory_.insert(memory_.end(), first.begin(), first.end());
    if (memory_only_) memory_.insert(memory_.end(), rest.begin(), rest.end());
    return Stored::ok;
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return memory_.size() + file_.size(); }
  /// All bytes, if they are in memory. The view is valid until the next append().
  [[nodiscard]] std::optional<std::span<const std::byte>> in_memory() const noexcept {
    if (file_.size() > 0) return std::nullopt;
    return std::span<const std::byte>(memory_);
  }
  /// The file, which this object owns; -1: there is none.
  [[nodiscard]] int file_fd() const noexcept { return file_.fd(); }
  /// Read from `offset`, perhaps fewer bytes than requested; 0 bytes: the end.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) {
    if (offset >= memory_.size()) return file_.read_at(offset - memory_.size(), into);
    const auto from = std::span<const std::byte>(memory_).subspan(static_cast<std::size_t>(offset));
    const auto part = from.first(std::min(from.size(), into.size()));
    std::copy(part.begin(), part.end(), into.begin());
    return part.size();
  }
  /// The errno of the last append() that failed.
  [[nodiscard]] int error() const noexcept { return file_.error(); }

 private:
  /// How many of `wanted` bytes go to memory; reserves room for them.
  std::size_t memory_room(std::size_t wanted) {
    if (file_.size() > 0 || charged_ > 0) return 0;
    const std::size_t needed = std::min(memory_.size() + wanted, memory_bytes_max_);
    if (needed > reserved_) {
      const std::size_t most = std::min(std::max(needed, 2 * reserved_), memory_bytes_max_);
      reserved_ += static_cast<std::size_t>(budget_.request_memory.take_share(
          most - reserved_, reserved_, StorageBudget::kMemoryShare));
      memory_.reserve(reserved_);
    }
    return std::min(needed, reserved_) - memory_.size();
  }

  Stored keep_rest(std::span<const std::byte> rest) {
    if (rest.empty()) return Stored::ok;
    if (!memory_only_) {
      const Stored stored = file_.append(rest);
      memory_only_ =
          stored == Stored::failed && file_.size() == 0 && directory_unusable(file_.error());
      if (!memory_only_) return stored;
    }
    if (!budget_.spool.take(rest.size())) return Stored::full;
    charged_ += rest.size();
    return Stored::ok;
  }

  StorageBudget& budget_;
  SpoolFile<E> file_;
  std::vector<std::byte> memory_;
  std::size_t memory_bytes_max_;
  std::size_t reserved_ = 0;   // from the budget's memory, for memory_
  std::uint64_t charged_ = 0;  // to the spool, for bytes in memory_
  bool memory_only_ = false;
};

}  // namespace iotax::driver
