// Makes decisions from the bytes of an input. After its end every decision is the first option, so
// that a short input is valid and a longer one only extends it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace iotax::fuzz {

class Choices {
 public:
  explicit Choices(std::string_view octets) noexcept : rest_(octets) {}

  [[nodiscard]] bool exhausted() const noexcept { return rest_.empty(); }
  /// 0 to `bound` - 1; `bound` is at most 256.
  std::size_t below(std::size_t bound) noexcept { return octet() % bound; }
  bool yes() noexcept { return below(2) == 1; }
  /// 0 to 65535.
  std::size_t number() noexcept {
    const std::size_t high = octet();
    return high << 8U | octet();
  }
  /// Bytes of the input itself, fewer than `bound`.
  std::string_view text(std::size_t bound) noexcept {
    const std::string_view taken = rest_.substr(0, below(bound));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  template <class Table>
  const auto& one_of(const Table& table) noexcept {
    return table[below(std::size(table))];
  }

 private:
  std::size_t octet() noexcept {
    if (rest_.empty()) return 0;
    const auto value = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }

  std::string_view rest_;
};

}  // namespace iotax::fuzz
