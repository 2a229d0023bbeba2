// How wsgi.input takes the content apart: reads of any size, lines, one position. Content in memory
// is copied once, into the bytes object that the application gets.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "bridge/exceptions.h"
#include "bridge/input.h"

namespace iotax::bridge {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr std::size_t kNoBound = PY_SSIZE_T_MAX;

PyObject* new_bytes(std::span<const std::byte> bytes) noexcept {
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                   static_cast<Py_ssize_t>(bytes.size()));
}

std::span<std::byte> writable(PyObject* bytes) noexcept {
  return {reinterpret_cast<std::byte*>(PyBytes_AS_STRING(bytes)),
          static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))};
}

/// The size of the first line in `bytes`, its line feed included; nothing when no line ends there.
std::optional<std::size_t> line_end(std::span<const std::byte> bytes) noexcept {
  const void* const found = bytes.empty() ? nullptr : std::memchr(bytes.data(), '\n', bytes.size());
  if (found == nullptr) return std::nullopt;
  return static_cast<std::size_t>(static_cast<const std::byte*>(found) - bytes.data()) + 1;
}

}  // namespace

void Body::begin(const driver::Exchange& exchange) noexcept {
  const auto memory = exchange.body_in_memory();
  const auto size = exchange.body_bytes();
  here_ = memory.value_or(std::span<const std::byte>{});
  position_ = 0;
  streamed_ = !memory.has_value();
  size_known_ = size.has_value();
  left_bytes_ = size.value_or(0);
}

void Body::end() noexcept {
  here_ = {};
  position_ = 0;
  if (streamed_) buffer_ = {};
  streamed_ = false;
  error_ = driver::BodyError::none;
}

bool Body::usable(const Use& use) const {
  if (use.exchange() == nullptr) {
    use.raise("wsgi.input");
    return false;
  }
  if (error_ != driver::BodyError::none) {
    raise_body_error(error_);
    return false;
  }
  return true;
}

Py_ssize_t Body::fetch(driver::Exchange& exchange, std::span<std::byte> into) {
  if (!streamed_ || into.empty()) return 0;
  const driver::BodyRead got = exchange.read_body(into);
  if (got.error != driver::BodyError::none) {
    error_ = got.error;
    request_->client_failed = error_ != driver::BodyError::storage;
    std::string line{text_of(error_)};
    request_->log().server(driver::Level::info, line.append(" in ").append(request_->described()));
    raise_body_error(error_);
    return -1;
  }
  if (got.bytes == 0) streamed_ = false;
  left_bytes_ -= std::min<std::uint64_t>(left_bytes_, got.bytes);
  return static_cast<Py_ssize_t>(got.bytes);
}

Py_ssize_t Body::refill(driver::Exchange& exchange) {
  if (!streamed_) return 0;
  buffer_.resize(kBufferBytes);
  const Py_ssize_t got = fetch(exchange, buffer_);
  here_ = std::span{buffer_}.first(got > 0 ? static_cast<std::size_t>(got) : 0);
  position_ = 0;
  return got;
}

Py_ssize_t Body::fill(driver::Exchange& exchange, std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const std::span<std::byte> rest = into.subspan(done);
    if (buffered().empty()) {
      // Large reads go past the buffer, small ones through it.
      const bool direct = rest.size() >= kBufferBytes;
      const Py_ssize_t got = direct ? fetch(exchange, rest) : refill(exchange);
      if (got < 0) return -1;
      if (got == 0) break;
      if (direct) {
        done += static_cast<std::size_t>(got);
        continue;
      }
    }
    const std::span<const std::byte> piece =
        buffered().first(std::min(buffered().size(), rest.size()));
    std::memcpy(rest.data(), piece.data(), piece.size());
    position_ += piece.size();
    done += piece.size();
  }
  return static_cast<Py_ssize_t>(done);
}

PyObject* Body::read_streamed(driver::Exchange& exchange, std::size_t most) {
  // An application may ask for more than there will ever be: where the size is not known, the
  // result grows as bytes come.
  const std::uint64_t known = size_known_ ? buffered().size() + left_bytes_ : kBufferBytes;
  PyObject* bytes = PyBytes_FromStringAndSize(
      nullptr, static_cast<Py_ssize_t>(std::min<std::uint64_t>(most, known)));
  std::size_t done = 0;
  while (bytes != nullptr) {  // a resize that fails sets a MemoryError and leaves null
    const std::span<std::byte> rest = writable(bytes).subspan(done);
    const Py_ssize_t got = fill(exchange, rest);
    if (got < 0) {
      Py_DECREF(bytes);
      return nullptr;
    }
    done += static_cast<std::size_t>(got);
    if (size_known_ || done == most || static_cast<std::size_t>(got) < rest.size()) {
      if (static_cast<std::size_t>(got) < rest.size())
        _PyBytes_Resize(&bytes, static_cast<Py_ssize_t>(done));
      break;
    }
    _PyBytes_Resize(&bytes, static_cast<Py_ssize_t>(std::min(most, done * 2)));
  }
  return bytes;
}

PyObject* Body::read(Py_ssize_t size) {
  const Use use{*request_};
  if (!usable(use)) return nullptr;
  const std::size_t most = size < 0 ? kNoBound : static_cast<std::size_t>(size);
  if (streamed_ && most > buffered().size()) return read_streamed(*use.exchange(), most);
  const std::span<const std::byte> piece = buffered().first(std::min(most, buffered().size()));
  PyObject* const bytes = new_bytes(piece);
  if (bytes != nullptr) position_ += piece.size();
  return bytes;
}

Py_ssize_t Body::read_into(std::span<std::byte> into) {
  const Use use{*request_};
  return usable(use) ? fill(*use.exchange(), into) : -1;
}

PyObject* Body::read_line(Py_ssize_t size) {
  const Use use{*request_};
  if (!usable(use)) return nullptr;
  const std::size_t most = size < 0 ? kNoBound : static_cast<std::size_t>(size);
  std::vector<std::byte> line;  // only of a line that is longer than what is buffered
  while (line.size() < most) {
    if (buffered().empty()) {
      const Py_ssize_t got = refill(*use.exchange());
      if (got < 0) return nullptr;
      if (got == 0) break;
    }
    const std::span<const std::byte> window =
        buffered().first(std::min(buffered().size(), most - line.size()));
    const std::optional<std::size_t> end = line_end(window);
    const std::span<const std::byte> piece = window.first(end.value_or(window.size()));
    position_ += piece.size();
    const bool complete = end.has_value() || !streamed_;
    if (line.empty() && (complete || piece.size() == most)) return new_bytes(piece);
    line.insert(line.end(), piece.begin(), piece.end());
    if (complete) break;
  }
  return new_bytes(line);
}

}  // namespace iotax::bridge
