// Unsent output in order: copied bytes, referenced bytes, and pieces of files. It does not
// interpret them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/connection.h"

namespace iotax::core {

class Output {
 public:
  /// Buffer for copied bytes; bytes written to it count from the next call of add().
  [[nodiscard]] Bytes& copied() noexcept { return copied_; }
  void add(std::string_view bytes) { copied_.append(bytes); }
  /// The bytes are borrowed.
  void refer(std::span<const std::byte> bytes);
  void add_file(std::uint64_t bytes);

  /// Views are valid until the next non-const call.
  [[nodiscard]] std::span<const Slice> slices() const noexcept;
  void take(std::uint64_t bytes) noexcept;
  [[nodiscard]] bool empty() const noexcept { return begin_ == copied_.size() && others_.empty(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return copied_.capacity(); }
  void release() noexcept;

 private:
  struct Other {  // comes after the first `at` bytes of copied_
    std::size_t at = 0;
    std::span<const std::byte> bytes;
    std::uint64_t file_bytes = 0;
  };

  Bytes copied_;
  std::size_t begin_ = 0;  // of the bytes not taken yet
  std::vector<Other> others_;
  mutable Slice only_;                 // the common case: only copied bytes
  mutable std::vector<Slice> slices_;  // has room for all pieces, reserved when others_ grew
};

}  // namespace iotax::core
