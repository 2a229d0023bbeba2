// wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling"): an iterator over
// read(), and the question whether the object it wraps is a plain file whose bytes the driver can
// send by itself. It must not know when an answer is sent. A wrapper reads a file of the
// application's and points to no request, so one that is kept can reach none.
#pragma once

#include <Python.h>

#include <cstdint>
#include <optional>

#include "driver/os/unique_fd.h"

namespace iotax::bridge {

/// A duplicate of the file's descriptor (close-on-exec) and the part from the object's logical
/// position to the end of the file.
struct FilePart {
  driver::UniqueFd file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// false: a Python exception is set.
[[nodiscard]] bool init_file_wrapper_type();
/// The callable that environ holds. Borrowed.
[[nodiscard]] PyObject* file_wrapper() noexcept;
/// Of exactly our type; asks the object nothing (S-FW-07, S-ITER-05).
[[nodiscard]] bool is_file_wrapper(PyObject* object) noexcept;
/// Nothing when the content must come from read(): a pipe, GzipFile, BytesIO, an own read(), a file
/// whose size is not what it holds (/proc, /sys), anything but io's own files over a regular file.
/// Beyond 5.9, S-FW-08, S-FW-10. No exception stays set.
[[nodiscard]] std::optional<FilePart> file_part(PyObject* wrapper);

}  // namespace iotax::bridge
