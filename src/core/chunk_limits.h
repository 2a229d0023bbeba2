// Limits on a chunked body that llhttp does not check: lines, extensions, trailers, body size.
// Counts bytes by place; llhttp parses the grammar.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/fault.h"
#include "core/limits.h"

namespace iotax::core {

class ChunkLimits {
 public:
  enum class Place : std::uint8_t { line, data, trailers };

  explicit ChunkLimits(const Limits& limits) noexcept : limits_(limits) {}
  ChunkLimits(Limits&&) = delete;

  void start() noexcept;
  [[nodiscard]] Place place() const noexcept { return place_; }
  /// Number of bytes to parse at most before a limit must be checked again; at least 1.
  [[nodiscard]] std::size_t window() const noexcept;
  /// Count bytes that were parsed, all of them in the same place.
  void count(std::string_view octets) noexcept;
  /// After count(), for an incomplete line or trailer section: the fault if it can no longer become
  /// valid, else Fault::none.
  [[nodiscard]] Fault still_open() const noexcept;

  /// A chunk line is complete and announces `size_bytes`; 0: trailers follow.
  [[nodiscard]] Fault line_complete(std::uint64_t size_bytes) noexcept;
  void data_complete() noexcept;

  /// Bytes of the name or value of an extension. Returns false for a quote after a token, which
  /// llhttp 9.2 accepts as a value (RFC 9112 §7.1.1).
  [[nodiscard]] bool extension_octets(std::string_view piece) noexcept;
  /// The name or value of an extension is complete. RFC 9112 §7.1.1: neither is empty.
  [[nodiscard]] Fault extension_part_complete() noexcept;
  void trailer_name(std::string_view piece) noexcept;
  [[nodiscard]] Fault trailer_complete() noexcept;

  /// The first bytes of the current line, for the log.
  [[nodiscard]] std::string_view shown() const noexcept { return {shown_.data(), shown_bytes_}; }
  /// Size of the body including the last announced chunk.
  [[nodiscard]] std::uint64_t body_bytes() const noexcept { return body_bytes_; }

 private:
  void next_line() noexcept;

  const Limits& limits_;
  Place place_ = Place::line;
  std::uint64_t body_bytes_ = 0;
  std::size_t line_bytes_ = 0;
  std::size_t extension_bytes_ = 0;       // of the whole body
  std::size_t extension_part_bytes_ = 0;  // of the current name or value
  std::size_t trailer_bytes_ = 0;
  std::size_t trailers_ = 0;
  std::size_t name_bytes_ = 0;
  std::size_t shown_bytes_ = 0;
  bool line_ended_ = false;
  bool extension_part_quoted_ = false;
  std::array<char, 18> name_{};  // one more than the longest forbidden name
  std::array<char, 80> shown_{};
};

}  // namespace iotax::core
