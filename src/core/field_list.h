// The fields of one head in contiguous memory, which can be borrowed and released like that of
// Bytes.
#pragma once

#include <new>
#include <span>
#include <type_traits>

#include "core/bytes.h"
#include "core/events.h"

namespace iotax::core {

class FieldList {
 public:
  static_assert(std::is_trivially_copyable_v<Field> && alignof(Field) <= alignof(std::max_align_t));

  /// `storage` must be aligned for Field.
  void lend(std::span<char> storage) noexcept { bytes_.lend(storage); }
  void add(const Field& field) {
    ::new (static_cast<void*>(bytes_.open(sizeof field))) Field(field);
    bytes_.close(bytes_.data() + bytes_.size() + sizeof field);
    ++count_;
  }
  [[nodiscard]] std::span<Field> all() noexcept { return {first(), count_}; }
  [[nodiscard]] std::span<const Field> all() const noexcept {
    return {const_cast<FieldList*>(this)->first(), count_};
  }
  void clear() noexcept {
    bytes_.clear();
    count_ = 0;
  }
  void release() noexcept {
    bytes_.release();
    count_ = 0;
  }

 private:
  [[nodiscard]] Field* first() noexcept {
    return count_ == 0 ? nullptr : std::launder(reinterpret_cast<Field*>(bytes_.data()));
  }

  Bytes bytes_;
  std::size_t count_ = 0;
};

}  // namespace iotax::core
