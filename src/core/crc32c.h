// CRC32C (RFC 3720 appendix B.4), one byte at a time: it is for short texts of few connections.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace iotax::core {

namespace detail {

constexpr std::array<std::uint32_t, 256> crc32c_table() noexcept {
  constexpr std::uint32_t kReversedPolynomial = 0x82F63B78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t octet = 0; octet < table.size(); ++octet) {
    std::uint32_t rest = octet;
    for (int bit = 0; bit < 8; ++bit)
      rest = (rest >> 1U) ^ ((rest & 1U) != 0 ? kReversedPolynomial : 0);
    table[octet] = rest;
  }
  return table;
}

}  // namespace detail

/// The checksum of `text`; `before`: the checksum of the text before it.
[[nodiscard]] constexpr std::uint32_t crc32c(std::string_view text,
                                             std::uint32_t before = 0) noexcept {
  constexpr std::array kTable = detail::crc32c_table();
  std::uint32_t rest = ~before;
  for (const char c : text)
    rest = (rest >> 8U) ^ kTable[(rest ^ static_cast<unsigned char>(c)) & 0xFFU];
  return ~rest;
}
static_assert(crc32c("123456789") == 0xE3069283);
static_assert(crc32c("6789", crc32c("12345")) == crc32c("123456789"));

}  // namespace iotax::core
