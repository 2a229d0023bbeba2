// wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling"): an iterator over
// read(), and the check whether the driver can send the wrapped file itself. It must not know when
// a response is sent. A wrapper has no reference to a request, so the application may keep it.
#pragma once

#include <Python.h>

#include <cstdint>
#include <optional>

#include "driver/os/unique_fd.h"

namespace iotax::bridge {

/// A duplicate of the file's descriptor (close-on-exec), and the part from the object's logical
/// position to the end of the file.
struct FilePart {
  driver::UniqueFd file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// false: a Python exception is set.
[[nodiscard]] bool init_file_wrapper_type();
/// The callable in environ. Borrowed.
[[nodiscard]] PyObject* file_wrapper() noexcept;
/// Whether the exact type is ours; runs no code of the object (S-FW-07, S-ITER-05).
[[nodiscard]] bool is_file_wrapper(PyObject* object) noexcept;
/// Nothing if the body must come from read(): a pipe, GzipFile, BytesIO, a read() of its own, a
/// file whose reported size is wrong (/proc, /sys), anything except io's own files over a regular
/// file. Beyond 5.9, S-FW-08, S-FW-10. Leaves no exception set.
[[nodiscard]] std::optional<FilePart> file_part(PyObject* wrapper);

}  // namespace iotax::bridge
