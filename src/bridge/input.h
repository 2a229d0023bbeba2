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
  explicit Body(Request& request) noexcept : request_(request) {}

  /// The content of the exchange that the request now runs. Not called for one without content.
  void begin(const driver::Exchange& exchange) noexcept;
  /// The request has ended, and with it what this points to; every later read raises RuntimeError
  /// (beyond 5.11).
  void end() noexcept;

  /// At most `size` bytes, fewer only at the end; negative: all. A new bytes, or null.
  [[nodiscard]] PyObject* read(Py_ssize_t size);
  /// One line with its line feed, at most `size` bytes of it; negative: no bound. A new bytes, or
  /// null.
  [[nodiscard]] PyObject* read_line(Py_ssize_t size);
  /// Fills `into` unless the end comes first. The bytes read, or -1.
  [[nodiscard]] Py_ssize_t read_into(std::span<std::byte> into);

 private:
  // The caller of each holds a Use, whose exchange it passes on: the exchange may leave the GIL
  // while it reads.
  /// False: an exception is set.
  [[nodiscard]] bool usable(const Use& use) const;
  /// More of the content into `into`. 0: the end. -1: an exception is set.
  [[nodiscard]] Py_ssize_t fetch(driver::Exchange& exchange, std::span<std::byte> into);
  /// Fills the buffer, which is used up. As fetch().
  [[nodiscard]] Py_ssize_t refill(driver::Exchange& exchange);
  /// Fills `into` unless the end comes first. As fetch().
  [[nodiscard]] Py_ssize_t fill(driver::Exchange& exchange, std::span<std::byte> into);
  [[nodiscard]] PyObject* read_streamed(driver::Exchange& exchange, std::size_t most);
  [[nodiscard]] std::span<const std::byte> buffered() const noexcept {
    return here_.subspan(position_);
  }

  RequestRef request_;
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
[[nodiscard]] inline Body& body_of(PyObject* input) noexcept {
  return reinterpret_cast<Input*>(input)->body;
}

}  // namespace iotax::bridge
