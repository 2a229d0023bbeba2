// Counting for ChunkLimits; limits.h has the limits.
#include "core/chunk_limits.h"

#include <algorithm>
#include <cstring>

#include "core/char_class.h"
#include "core/text.h"

namespace iotax::core {

void ChunkLimits::start() noexcept {
  place_ = Place::line;
  body_bytes_ = 0;
  extension_bytes_ = extension_part_bytes_ = 0;
  trailer_bytes_ = trailers_ = name_bytes_ = 0;
  next_line();
}

void ChunkLimits::next_line() noexcept {
  if (place_ == Place::line) line_bytes_ = 0;
  shown_bytes_ = 0;
  line_ended_ = false;
}

std::size_t ChunkLimits::window() const noexcept {
  switch (place_) {
    case Place::line:
      return std::max<std::size_t>(limits_.chunk_line_bytes_max - line_bytes_, 1);
    case Place::trailers:
      return std::max<std::size_t>(limits_.trailer_bytes_max - trailer_bytes_, 1);
    case Place::data:
      break;
  }
  return SIZE_MAX;
}

void ChunkLimits::count(std::string_view octets) noexcept {
  if (place_ == Place::data) return;
  (place_ == Place::line ? line_bytes_ : trailer_bytes_) += octets.size();
  for (const char octet : octets) {
    if (line_ended_) next_line();
    if (shown_bytes_ < shown_.size()) shown_[shown_bytes_++] = octet;
    line_ended_ = octet == '\n';
  }
}

Fault ChunkLimits::still_open() const noexcept {
  if (place_ == Place::line && line_bytes_ >= limits_.chunk_line_bytes_max)
    return Fault::chunk_line_limit;
  if (place_ == Place::trailers && trailer_bytes_ >= limits_.trailer_bytes_max)
    return Fault::trailer_limit;
  return Fault::none;
}

Fault ChunkLimits::line_complete(std::uint64_t size_bytes) noexcept {
  constexpr std::size_t kDigitsMax = 16;
  const std::string_view seen = shown();
  std::size_t digits = 0;
  while (digits < seen.size() && is(seen[digits], kHex)) ++digits;
  if (digits > kDigitsMax) return Fault::chunk_size;  // leading zeros, which llhttp does not count
  extension_bytes_ += line_bytes_ - digits - 2;
  if (extension_bytes_ > limits_.chunk_extension_bytes_max) return Fault::chunk_extensions_limit;
  const bool overflows = size_bytes > UINT64_MAX - body_bytes_;
  body_bytes_ = overflows ? UINT64_MAX : body_bytes_ + size_bytes;
  if (limits_.body_bytes_max != 0 && body_bytes_ > limits_.body_bytes_max) return Fault::body_limit;
  if (overflows) return Fault::chunk_size;
  place_ = size_bytes == 0 ? Place::trailers : Place::data;
  next_line();
  return Fault::none;
}

void ChunkLimits::data_complete() noexcept {
  place_ = Place::line;
  next_line();
}

bool ChunkLimits::extension_octets(std::string_view piece) noexcept {
  if (extension_part_bytes_ == 0) extension_part_quoted_ = piece.starts_with('"');
  extension_part_bytes_ += piece.size();
  return extension_part_quoted_ || piece.find('"') == std::string_view::npos;
}

Fault ChunkLimits::extension_part_complete() noexcept {
  const bool empty = extension_part_bytes_ == 0;
  extension_part_bytes_ = 0;
  return empty ? Fault::chunk_extension : Fault::none;
}

void ChunkLimits::trailer_name(std::string_view piece) noexcept {
  const std::size_t more = std::min(piece.size(), name_.size() - name_bytes_);
  std::memcpy(name_.data() + name_bytes_, piece.data(), more);
  name_bytes_ += more;
}

Fault ChunkLimits::trailer_complete() noexcept {
  const std::string_view name{name_.data(), name_bytes_};
  name_bytes_ = 0;
  if (same_token(name, "host") || same_token(name, "content-length") ||
      same_token(name, "transfer-encoding"))
    return Fault::trailer_forbidden;
  return ++trailers_ > limits_.trailers_max ? Fault::trailers_limit : Fault::none;
}

}  // namespace iotax::core
