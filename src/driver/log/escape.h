// Escaping of bytes that a client or an application chose, for the lines of the logs. It must not
// know what a text means.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace iotax::driver {

/// How many offending bytes of a client a warning shows.
inline constexpr std::size_t kShownBytesMax = 80;

/// write_escaped() and write_json_escaped() write at most this many bytes for each one.
inline constexpr std::size_t kEscapedBytesMax = 6;

/// Append `bytes`, with `"`, `\` and everything but printable ASCII as \xNN.
void append_escaped(std::string& line, std::string_view bytes);
/// The same at `to`, which has room for 4 bytes for each one. Returns the end.
[[nodiscard]] char* write_escaped(char* to, std::string_view bytes) noexcept;

/// Write UTF-8 `bytes` as the inside of a JSON string in ASCII, \ufffd for each byte that is not
/// UTF-8. `to` has room for kEscapedBytesMax bytes for each one. Returns the end. Stops before the
/// character that would exceed `bytes_max`, and then makes `bytes` its rest; otherwise empty.
[[nodiscard]] char* write_json_escaped(char* to, std::string_view& bytes,
                                       std::size_t bytes_max) noexcept;

}  // namespace iotax::driver
