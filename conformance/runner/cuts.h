// How the bytes of a case are split. Pure arithmetic over positions.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace iotax::conformance {

/// Positions, ascending, at which `raw` is split; none: in one piece.
using Cuts = std::vector<std::size_t>;

/// Every position up to kEveryCutBytesMax bytes; beyond that the ends densely and the middle with
/// a stride.
[[nodiscard]] inline std::vector<std::size_t> cut_positions(std::size_t raw_bytes) {
  constexpr std::size_t kEveryCutBytesMax = 4 * 1024;
  constexpr std::size_t kDenseBytes = 256;
  constexpr std::size_t kStridesMax = 512;
  std::vector<std::size_t> positions;
  const std::size_t stride = raw_bytes <= kEveryCutBytesMax ? 1 : raw_bytes / kStridesMax;
  for (std::size_t at = 1; at < raw_bytes;) {
    positions.push_back(at);
    const bool dense = at < kDenseBytes || at + kDenseBytes >= raw_bytes;
    at += dense ? 1 : stride;
  }
  return positions;
}

[[nodiscard]] inline Cuts single_octets(std::size_t raw_bytes) {
  Cuts cuts;
  for (std::size_t at = 1; at < raw_bytes; ++at) cuts.push_back(at);
  return cuts;
}

/// The pieces of `bytes`, which begin at `offset` of the whole raw. At least one, which may be
/// empty.
[[nodiscard]] inline std::vector<std::string_view> pieces(std::string_view bytes,
                                                          std::size_t offset, const Cuts& cuts) {
  std::vector<std::string_view> result;
  std::size_t begin = 0;
  for (const std::size_t cut : cuts) {
    if (cut <= offset + begin || cut >= offset + bytes.size()) continue;
    result.push_back(bytes.substr(begin, cut - offset - begin));
    begin = cut - offset;
  }
  result.push_back(bytes.substr(begin));
  return result;
}

}  // namespace iotax::conformance
