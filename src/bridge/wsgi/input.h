// wsgi.input: the body of a request as a Python binary file that ends where the body ends (PEP
// 3333, "Input and Error Streams"). The exchange decides where the body comes from (memory, a
// temporary file, the client).
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "bridge/capi/ref.h"
#include "bridge/wsgi/request.h"

namespace iotax::bridge {

/// The data source of wsgi.input. One position for all methods (S-IN-07). Failures, including lack
/// of memory, are Python exceptions.
class Body {
 public:
  explicit Body(Request& request) noexcept : request_(request) {}

  /// Start the body of the request's current exchange. Not called for a request without a body.
  void begin(const driver::Exchange& exchange) noexcept;
  /// The request has ended, and its buffers become invalid; every later read raises RuntimeError
  /// (beyond 5.11).
  void end() noexcept;

  /// At most `size` bytes, fewer only at the end; negative: all. Returns a new bytes, or null.
  [[nodiscard]] PyObject* read(Py_ssize_t size);
  /// At most `size` bytes, fewer rather than wait for more; negative: any number.
  [[nodiscard]] PyObject* read_once(Py_ssize_t size);
  /// One line with its line feed, at most `size` bytes of it; negative: no limit. Returns a new
  /// bytes, or null.
  [[nodiscard]] PyObject* read_line(Py_ssize_t size);
  /// Fill `into`, unless the body ends first. Returns the number of bytes read, or -1.
  [[nodiscard]] Py_ssize_t read_into(std::span<std::byte> into);
  /// As read_once(), into `into`.
  [[nodiscard]] Py_ssize_t read_once_into(std::span<std::byte> into);

  /// The position as an int; null with io.UnsupportedOperation if the body is read as it arrives.
  [[nodiscard]] PyObject* tell();
  /// Like io.BytesIO.seek(); may move past the end. Errors as in tell().
  [[nodiscard]] PyObject* seek(std::int64_t offset, int whence);

  /// Whether the request has ended.
  [[nodiscard]] bool is_over() const noexcept { return request_->exchange() == nullptr; }
  [[nodiscard]] bool seekable() const noexcept { return source_ != Source::arriving; }

 private:
  enum class Source : std::uint8_t {
    memory,    // the exchange's memory, or no body at all
    stored,    // a temporary file
    arriving,  // from the client, as it arrives
  };
  struct FreeMemory {
    void operator()(std::byte* memory) const noexcept { PyMem_Free(memory); }
  };

  // Each caller has an ExchangeGuard and passes its exchange on: the exchange may release the GIL
  // while it reads.
  /// False: an exception is set.
  [[nodiscard]] bool usable(const ExchangeGuard& use) const;
  /// As usable(); a body that is read as it arrives has no positions.
  [[nodiscard]] bool has_positions(const ExchangeGuard& use) const;
  /// Copy bytes at the position to `into` without moving the position. 0: end of the body. -1: an
  /// exception is set.
  [[nodiscard]] Py_ssize_t fetch(driver::Exchange& exchange, std::span<std::byte> into);
  /// Fill the buffer from the position on. Returns as fetch().
  [[nodiscard]] Py_ssize_t refill(driver::Exchange& exchange);
  /// Fill `into`, unless the body ends first, and advance the position. Returns as fetch().
  [[nodiscard]] Py_ssize_t fill(driver::Exchange& exchange, std::span<std::byte> into);
  [[nodiscard]] PyObject* read_many(driver::Exchange& exchange, std::size_t most);
  /// The bytes in memory at the position.
  [[nodiscard]] std::span<const std::byte> at_hand() const noexcept;
  /// Upper bound of the bytes after the position; exact if the size is known.
  [[nodiscard]] std::uint64_t rest_bytes() const noexcept;

  RequestRef request_;
  Source source_ = Source::memory;
  bool size_known_ = true;
  bool at_end_ = false;              // of a body that is read as it arrives
  std::uint64_t size_ = 0;           // if known
  std::uint64_t position_ = 0;       // of the application
  std::uint64_t exchange_at_ = 0;    // where the exchange continues to read
  std::span<const std::byte> here_;  // part of the body in memory: the exchange's, or the buffer
  std::uint64_t here_at_ = 0;        // its position
  driver::BodyError error_ = driver::BodyError::none;
  std::unique_ptr<std::byte, FreeMemory> buffer_;
};

struct Input {
  PyObject_HEAD Body body;
};

/// false: a Python exception is set.
[[nodiscard]] bool init_input_type();
/// A wsgi.input for the requests of one application thread. Empty with an exception if memory runs
/// out.
[[nodiscard]] Ref make_input(Request& request) noexcept;
[[nodiscard]] inline Body& body_of(PyObject* input) noexcept {
  return reinterpret_cast<Input*>(input)->body;
}

}  // namespace iotax::bridge
