// Growable byte buffer that can start in borrowed storage and release its memory completely. It
// does not interpret its contents.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "core/text.h"

namespace iotax::core {

class Bytes {
 public:
  Bytes() = default;
  Bytes(Bytes&& other) noexcept { swap(other); }
  ~Bytes() { release(); }

  /// Start in borrowed storage, which must outlive the use of this buffer. Larger contents move to
  /// allocated memory. Only after release().
  void lend(std::span<char> storage) noexcept {
    data_ = storage.data();
    capacity_ = storage.size();
    lent_ = true;
  }

  [[nodiscard]] char* data() noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// Bytes of allocated memory; borrowed storage does not count.
  [[nodiscard]] std::size_t own_bytes() const noexcept { return lent_ ? 0 : capacity_; }
  [[nodiscard]] std::string_view text() const noexcept { return {data_, size_}; }

  /// Make room for `more` bytes after the present ones. Growing moves the bytes.
  void make_room(std::size_t more) {
    if (capacity_ - size_ < more) [[unlikely]]
      grow(more);
  }
  void append(std::string_view text) {
    if (text.empty()) return;
    make_room(text.size());
    copy_text(data_ + size_, text);
    size_ += text.size();
  }
  /// The caller may write at most `most` bytes at the returned position, then calls close() with
  /// their end.
  [[nodiscard]] char* open(std::size_t most) {
    make_room(most);
    return data_ + size_;
  }
  void close(const char* end) noexcept { size_ = static_cast<std::size_t>(end - data_); }
  void truncate(std::size_t size) noexcept { size_ = size; }
  /// Remove the first `count` bytes and move the others to the front.
  void drop_front(std::size_t count) noexcept {
    size_ -= count;
    if (size_ != 0) std::memmove(data_, data_ + count, size_);
  }
  void clear() noexcept { size_ = 0; }
  void release() noexcept {
    if (capacity_ == 0) return;
    if (!lent_) std::free(data_);
    data_ = nullptr;
    size_ = capacity_ = 0;
    lent_ = false;
  }
  void swap(Bytes& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(lent_, other.lent_);
  }

 private:
  static constexpr std::size_t kSmallest = 512;

  /// Not inlined, so that make_room() is everywhere.
  [[gnu::noinline]] void grow(std::size_t more) {
    const std::size_t capacity = std::max({kSmallest, capacity_ * 2, size_ + more});
    void* grown = lent_ ? std::malloc(capacity) : std::realloc(data_, capacity);
    if (grown == nullptr) throw std::bad_alloc();
    if (lent_ && size_ != 0) std::memcpy(grown, data_, size_);
    data_ = static_cast<char*>(grown);
    capacity_ = capacity;
    lent_ = false;
  }

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  bool lent_ = false;
};

inline std::string_view text_of(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace iotax::core
