// Pieces are kept as offsets into the copied bytes, which may move; views are made on request.
#include "core/output.h"

#include <algorithm>

#include "core/check.h"

namespace iotax::core {
namespace {

/// A client that never reads everything must not make the copied bytes grow without limit.
constexpr std::size_t kCompactFrom = 64 * 1024;

}  // namespace

void Output::refer(std::span<const std::byte> bytes) {
  others_.push_back({copied_.size(), bytes, 0});
  slices_.reserve(2 * others_.size() + 1);
}

void Output::add_file(std::uint64_t bytes) {
  if (bytes == 0) return;
  others_.push_back({copied_.size(), {}, bytes});
  slices_.reserve(2 * others_.size() + 1);
}

std::span<const Slice> Output::slices() const noexcept {
  const auto copied = bytes_of(copied_.text());
  if (others_.empty()) [[likely]] {
    if (begin_ == copied.size()) return {};
    only_ = {copied.subspan(begin_), 0};
    return {&only_, 1};
  }
  slices_.clear();
  std::size_t from = begin_;
  for (const Other& other : others_) {
    if (other.at > from) slices_.push_back({copied.subspan(from, other.at - from), 0});
    from = std::max(from, other.at);
    slices_.push_back({other.bytes, other.file_bytes});
  }
  if (from < copied.size()) slices_.push_back({copied.subspan(from), 0});
  return slices_;
}

void Output::take(std::uint64_t bytes) noexcept {
  if (others_.empty() && bytes == copied_.size() - begin_) [[likely]] {
    copied_.clear();
    begin_ = 0;
    return;
  }
  std::size_t gone = 0;
  while (bytes != 0) {
    const std::size_t until = gone < others_.size() ? others_[gone].at : copied_.size();
    const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, until - begin_));
    begin_ += here;
    bytes -= here;
    if (bytes == 0) break;
    IOTAX_CHECK(gone < others_.size());  // sent() reported more than there is
    Other& other = others_[gone];
    const std::uint64_t whole = other.file_bytes + other.bytes.size();
    const std::uint64_t part = std::min(bytes, whole);
    bytes -= part;
    if (part == whole) {
      ++gone;
    } else if (other.file_bytes != 0) {
      other.file_bytes -= part;
    } else {
      other.bytes = other.bytes.subspan(static_cast<std::size_t>(part));
    }
  }
  if (gone != 0)
    others_.erase(others_.begin(), others_.begin() + static_cast<std::ptrdiff_t>(gone));
  if (others_.empty() && begin_ == copied_.size()) {
    copied_.clear();
    begin_ = 0;
  } else if (begin_ >= kCompactFrom && begin_ >= copied_.size() / 2) {
    copied_.drop_front(begin_);
    for (Other& other : others_) other.at -= begin_;
    begin_ = 0;
  }
}

void Output::release() noexcept {
  copied_.release();
  begin_ = 0;
  if (others_.capacity() == 0) return;
  others_ = {};
  slices_ = {};
}

}  // namespace iotax::core
