// How wsgi.input splits the body: reads of any size, lines, one position. A body in memory is
// copied once, into the bytes object that the application gets.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "bridge/capi/exceptions.h"
#include "bridge/wsgi/input.h"

namespace iotax::bridge {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr std::size_t kNoBound = PY_SSIZE_T_MAX;
constexpr const char* kWho = "wsgi.input";

PyObject* new_bytes(std::span<const std::byte> bytes) noexcept {
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                   static_cast<Py_ssize_t>(bytes.size()));
}

std::span<std::byte> writable(PyObject* bytes) noexcept {
  return {reinterpret_cast<std::byte*>(PyBytes_AS_STRING(bytes)),
          static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))};
}

std::size_t bound_of(Py_ssize_t size) noexcept {
  return size < 0 ? kNoBound : static_cast<std::size_t>(size);
}

/// The size of the first line in `bytes`, including its line feed; nothing if no line ends there.
std::optional<std::size_t> line_end(std::span<const std::byte> bytes) noexcept {
  const void* const found = bytes.empty() ? nullptr : std::memchr(bytes.data(), '\n', bytes.size());
  if (found == nullptr) return std::nullopt;
  return static_cast<std::size_t>(static_cast<const std::byte*>(found) - bytes.data()) + 1;
}

/// A bytes object that grows. After an allocation fails, a MemoryError is set.
class Growing {
 public:
  Growing() = default;
  Growing(const Growing&) = delete;
  ~Growing() { Py_XDECREF(bytes_); }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// `most`: the largest size it will have. Returns false if memory ran out.
  [[nodiscard]] bool append(std::span<const std::byte> piece, std::uint64_t most) noexcept {
    if (bytes_ == nullptr || size_ + piece.size() > writable(bytes_).size()) {
      const std::uint64_t twice = std::max<std::uint64_t>(2 * (size_ + piece.size()), kBufferBytes);
      const std::uint64_t wanted =
          std::max<std::uint64_t>(std::min(twice, most), size_ + piece.size());
      if (!resize(static_cast<Py_ssize_t>(std::min<std::uint64_t>(wanted, kNoBound)))) return false;
    }
    std::memcpy(writable(bytes_).data() + size_, piece.data(), piece.size());
    size_ += piece.size();
    return true;
  }
  /// The bytes so far; null with an exception if memory ran out.
  [[nodiscard]] PyObject* release() noexcept {
    if (!resize(static_cast<Py_ssize_t>(size_))) return nullptr;
    return std::exchange(bytes_, nullptr);
  }

 private:
  bool resize(Py_ssize_t size) noexcept {
    if (bytes_ == nullptr) {
      bytes_ = PyBytes_FromStringAndSize(nullptr, size);
    } else if (PyBytes_GET_SIZE(bytes_) != size) {
      (void)_PyBytes_Resize(&bytes_, size);  // sets null if memory runs out
    }
    return bytes_ != nullptr;
  }

  PyObject* bytes_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace

void Body::begin(const driver::Exchange& exchange) noexcept {
  const auto memory = exchange.body_in_memory();
  const auto size = exchange.body_bytes();
  here_ = memory.value_or(std::span<const std::byte>{});
  if (memory) {
    source_ = Source::memory;
  } else {
    source_ = exchange.body_is_stored() ? Source::stored : Source::arriving;
  }
  size_known_ = size.has_value();
  size_ = size.value_or(0);
}

void Body::end() noexcept {
  if (source_ != Source::memory) {
    buffer_.reset();
    source_ = Source::memory;
    size_known_ = true;
    at_end_ = false;
    exchange_at_ = 0;
    here_at_ = 0;
    error_ = driver::BodyError::none;
  }
  here_ = {};
  size_ = 0;
  position_ = 0;
}

bool Body::usable(const ExchangeGuard& use) const {
  if (use.exchange() == nullptr) {
    use.raise(kWho);
    return false;
  }
  if (error_ != driver::BodyError::none) {
    raise_body_error(error_);
    return false;
  }
  return true;
}

bool Body::has_positions(const ExchangeGuard& use) const {
  if (use.exchange() == nullptr) {
    use.raise(kWho);
    return false;
  }
  if (seekable()) return true;
  raise_unsupported(
      "wsgi.input is read as it arrives (--no-request-buffering): it does not support tell() or "
      "to seek");
  return false;
}

std::span<const std::byte> Body::at_hand() const noexcept {
  const std::uint64_t skipped = position_ - here_at_;  // wraps around if the position is before it
  if (skipped >= here_.size()) return {};
  return here_.subspan(static_cast<std::size_t>(skipped));
}

std::uint64_t Body::rest_bytes() const noexcept {
  if (!size_known_) return std::numeric_limits<std::uint64_t>::max();
  return size_ - std::min(size_, position_);
}

Py_ssize_t Body::fetch(driver::Exchange& exchange, std::span<std::byte> into) {
  if (source_ == Source::memory || at_end_ || into.empty()) return 0;
  if (source_ == Source::stored) {
    if (position_ >= size_) return 0;
    if (exchange_at_ != position_) exchange.seek_body(position_);
  }
  const driver::BodyRead got = exchange.read_body(into);
  exchange_at_ = position_ + got.bytes;
  if (got.error != driver::BodyError::none) {
    error_ = got.error;
    request_->client_failed = error_ != driver::BodyError::storage;
    std::string line{text_of(error_)};
    request_->log(driver::Level::info, line.append(" in ").append(request_->described()));
    raise_body_error(error_);
    return -1;
  }
  if (got.bytes == 0) at_end_ = source_ == Source::arriving;
  return static_cast<Py_ssize_t>(got.bytes);
}

Py_ssize_t Body::refill(driver::Exchange& exchange) {
  if (source_ == Source::memory) return 0;
  if (!buffer_) {
    buffer_.reset(static_cast<std::byte*>(PyMem_Malloc(kBufferBytes)));
    if (!buffer_) {
      PyErr_NoMemory();
      return -1;
    }
  }
  here_ = {};
  const Py_ssize_t got = fetch(exchange, {buffer_.get(), kBufferBytes});
  here_ = {buffer_.get(), got > 0 ? static_cast<std::size_t>(got) : 0};
  here_at_ = position_;
  return got;
}

Py_ssize_t Body::fill(driver::Exchange& exchange, std::span<std::byte> into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const std::span<std::byte> rest = into.subspan(done);
    if (at_hand().empty()) {
      // Large reads bypass the buffer, small ones use it.
      const bool direct = rest.size() >= kBufferBytes;
      const Py_ssize_t got = direct ? fetch(exchange, rest) : refill(exchange);
      if (got < 0) return -1;
      if (got == 0) break;
      if (direct) {
        position_ += static_cast<std::size_t>(got);
        done += static_cast<std::size_t>(got);
        continue;
      }
    }
    const std::span<const std::byte> piece =
        at_hand().first(std::min(at_hand().size(), rest.size()));
    std::memcpy(rest.data(), piece.data(), piece.size());
    position_ += piece.size();
    done += piece.size();
  }
  return static_cast<Py_ssize_t>(done);
}

PyObject* Body::read_many(driver::Exchange& exchange, std::size_t most) {
  // An application may ask for more bytes than will ever arrive: if the size is not known, the
  // result grows as bytes arrive.
  const std::uint64_t known = size_known_ ? rest_bytes() : kBufferBytes;
  PyObject* bytes = PyBytes_FromStringAndSize(
      nullptr, static_cast<Py_ssize_t>(std::min<std::uint64_t>(most, known)));
  std::size_t done = 0;
  while (bytes != nullptr) {  // a resize that fails sets a MemoryError and null
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
  const ExchangeGuard use{*request_};
  if (!usable(use)) return nullptr;
  const std::size_t most = bound_of(size);
  const std::span<const std::byte> here = at_hand();
  if (source_ != Source::memory && most > here.size()) return read_many(*use.exchange(), most);
  const std::span<const std::byte> piece = here.first(std::min(most, here.size()));
  PyObject* const bytes = new_bytes(piece);
  if (bytes != nullptr) position_ += piece.size();
  return bytes;
}

PyObject* Body::read_once(Py_ssize_t size) {
  const ExchangeGuard use{*request_};
  if (!usable(use)) return nullptr;
  if (size != 0 && at_hand().empty() && refill(*use.exchange()) < 0) return nullptr;
  const std::span<const std::byte> here = at_hand();
  const std::span<const std::byte> piece = here.first(std::min(bound_of(size), here.size()));
  PyObject* const bytes = new_bytes(piece);
  if (bytes != nullptr) position_ += piece.size();
  return bytes;
}

Py_ssize_t Body::read_into(std::span<std::byte> into) {
  const ExchangeGuard use{*request_};
  return usable(use) ? fill(*use.exchange(), into) : -1;
}

Py_ssize_t Body::read_once_into(std::span<std::byte> into) {
  const ExchangeGuard use{*request_};
  if (!usable(use)) return -1;
  if (!into.empty() && at_hand().empty() && refill(*use.exchange()) < 0) return -1;
  const std::span<const std::byte> here = at_hand();
  const std::size_t bytes = std::min(into.size(), here.size());
  if (bytes != 0) std::memcpy(into.data(), here.data(), bytes);
  position_ += bytes;
  return static_cast<Py_ssize_t>(bytes);
}

PyObject* Body::read_line(Py_ssize_t size) {
  const ExchangeGuard use{*request_};
  if (!usable(use)) return nullptr;
  const std::size_t most = bound_of(size);
  const std::uint64_t begin = position_;
  Growing line;  // only for a line longer than the bytes in memory
  while (line.size() < most) {
    if (at_hand().empty()) {
      const Py_ssize_t got = refill(*use.exchange());
      if (got < 0) return nullptr;
      if (got == 0) break;
    }
    const std::span<const std::byte> window =
        at_hand().first(std::min(at_hand().size(), most - line.size()));
    const std::optional<std::size_t> end = line_end(window);
    const std::span<const std::byte> piece = window.first(end.value_or(window.size()));
    const bool complete = end.has_value() || source_ == Source::memory;
    if (line.size() == 0 && (complete || piece.size() == most)) {
      PyObject* const bytes = new_bytes(piece);
      if (bytes != nullptr) position_ += piece.size();
      return bytes;
    }
    const std::uint64_t longest = size_known_ ? line.size() + rest_bytes() : most;
    if (!line.append(piece, std::min<std::uint64_t>(longest, most))) {
      if (seekable()) position_ = begin;  // the application can read it in smaller pieces
      return nullptr;
    }
    position_ += piece.size();
    if (complete) break;
  }
  return line.release();
}

PyObject* Body::tell() {
  const ExchangeGuard use{*request_};
  return has_positions(use) ? PyLong_FromUnsignedLongLong(position_) : nullptr;
}

PyObject* Body::seek(std::int64_t offset, int whence) {
  const ExchangeGuard use{*request_};
  if (!has_positions(use)) return nullptr;
  if (whence < SEEK_SET || whence > SEEK_END) {
    PyErr_Format(PyExc_ValueError, "wsgi.input.seek: whence must be 0, 1 or 2, not %d", whence);
    return nullptr;
  }
  if (whence == SEEK_SET && offset < 0) {
    PyErr_Format(PyExc_ValueError, "wsgi.input.seek: negative position %lld",
                 static_cast<long long>(offset));
    return nullptr;
  }
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  const std::uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? position_ : size_;
  if (offset < 0) {
    const std::uint64_t back = std::uint64_t{0} - static_cast<std::uint64_t>(offset);
    position_ = from - std::min(from, back);
  } else {
    position_ = from + std::min(static_cast<std::uint64_t>(offset), kMost - from);
  }
  return PyLong_FromUnsignedLongLong(position_);
}

}  // namespace iotax::bridge
