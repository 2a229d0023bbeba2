// wsgi.input: the content of a request as a Python binary file that ends where the content ends
// (PEP 3333, "Input and Error Streams"). Where the content comes from (memory, a temporary file,
// the client) is decided by the exchange.
#pragma once

#include <Python.h>

#include <cstddef>
#include <span>
#include <vector>

#include "bridge/ref.h"
#include "bridge/request.h"

namespace iotax::bridge {

/// What the Python object of wsgi.input reads from. One position for all methods (S-IN-07).
/// Failures are Python exceptions.
class Body {
 public:
  explicit Body(Request* request) noexcept : request_(request) {}

  /// The content of the exchange that `request` now runs.
  void begin(const driver::Exchange& exchange) noexcept;
  /// The request ended: every later read raises RuntimeError (beyond 5.11).
  void end() noexcept;
  /// The application kept the object: it belongs to no request any more.
  void cut_off() noexcept { request_ = nullptr; }

  /// At most `size` bytes, fewer only at the end; negative: all. A new bytes, or null.
  [[nodiscard]] PyObject* read(Py_ssize_t size);
  /// One line with its line feed, at most `size` bytes of it; negative: no bound. A new bytes, or
  /// null.
  [[nodiscard]] PyObject* read_line(Py_ssize_t size);
  /// Fills `into` unless the end comes first. The bytes read, or -1.
  [[nodiscard]] Py_ssize_t read_into(std::span<std::byte> into);

 private:
  // The caller of each holds a Use, so that the exchange may leave the GIL while it reads.
  [[nodiscard]] bool usable() const;
  /// More of the content into `into`. 0: the end. -1: an exception is set.
  [[nodiscard]] Py_ssize_t fetch(std::span<std::byte> into);
  /// Fills the buffer, which is used up. As fetch().
  [[nodiscard]] Py_ssize_t refill();
  /// Fills `into` unless the end comes first. As fetch().
  [[nodiscard]] Py_ssize_t fill(std::span<std::byte> into);
  [[nodiscard]] PyObject* read_streamed(std::size_t most);
  [[nodiscard]] std::span<const std::byte> buffered() const noexcept {
    return here_.subspan(position_);
  }

  Request* request_;
  std::span<const std::byte> here_;  // content in memory: the exchange's, or buffer_
  std::size_t position_ = 0;         // in here_
  bool streamed_ = false;            // more comes through Exchange::read_body()
  std::uint64_t left_bytes_ = 0;     // of a streamed content whose size is known
  bool size_known_ = false;
  driver::BodyError error_ = driver::BodyError::none;
  std::vector<std::byte> buffer_;
};

struct Input {
  PyObject_HEAD Body body;
};

/// false: a Python exception is set.
[[nodiscard]] bool init_input_type();
/// A wsgi.input for the requests of one application thread. Empty with an exception when there is
/// no memory.
[[nodiscard]] Ref make_input(Request& request) noexcept;
/// The one for requests without content: always at its end, shared by all. Borrowed; null before
/// init_input_type().
[[nodiscard]] PyObject* empty_input() noexcept;
[[nodiscard]] inline Body& body_of(PyObject* input) noexcept {
  return reinterpret_cast<Input*>(input)->body;
}

}  // namespace iotax::bridge
