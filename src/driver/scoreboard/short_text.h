// Text of bounded length without allocation. It must not know where it is stored.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/text.h"

namespace iotax::driver {

/// Text of bounded length, truncated if it does not fit. Also available as words; the unused bytes
/// of the last word are unspecified.
template <std::size_t N>
class ShortText {
 public:
  static constexpr std::size_t kWords = N / sizeof(std::uint64_t);
  static_assert(N % sizeof(std::uint64_t) == 0);

  void clear() noexcept { size_ = 0; }
  void assign(std::string_view text) noexcept {
    clear();
    append(text);
  }
  void append(std::string_view text) noexcept {
    const std::size_t n = text.size() < N - size_ ? text.size() : N - size_;
    core::copy_text(bytes_.data() + size_, text.substr(0, n));
    size_ += n;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }
  [[nodiscard]] std::size_t words() const noexcept {
    return (size_ + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t);
  }
  [[nodiscard]] std::uint64_t word(std::size_t n) const noexcept {
    std::uint64_t value;
    std::memcpy(&value, bytes_.data() + n * sizeof value, sizeof value);
    return value;
  }

 private:
  std::array<char, N> bytes_;
  std::size_t size_ = 0;
};

using RequestLine = ShortText<256>;  // "GET /path", for display
using RequestText = ShortText<128>;  // a request id
using TraceParent = ShortText<56>;   // of core::valid_trace_parent()
using ErrorText = ShortText<64>;     // the name of a class, or a word

}  // namespace iotax::driver
