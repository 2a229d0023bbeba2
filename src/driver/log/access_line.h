// The text of log lines: the access line, and the escaping of bytes that a client chose. Pure
// formatting; it must not know where lines go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/instant.h"

namespace iotax::driver {

/// How many of a client's offending bytes a warning shows.
inline constexpr std::size_t kShownBytesMax = 80;

/// Append `bytes` with everything but printable ASCII, and `"` and `\`, as \xNN.
void append_escaped(std::string& line, std::string_view bytes);

/// One request. What is not known is empty.
struct AccessEntry {
  std::string client;  // "127.0.0.1:35694"; an address that a proxy names has no port
  std::string_view method;
  std::string_view target;   // as received
  std::string_view version;  // "HTTP/1.1"; written as it is
  int status = 0;            // 499: the client left before its answer; 0 or less: there was none
  std::uint64_t bytes = 0;   // of the content
  core::Duration duration{};
  std::string_view request_id;
};

/// `127.0.0.1:35694 - "GET /x?y HTTP/1.1" 200 OK 154B 2.3ms REQUEST-ID`, without a line end. `"-"`
/// stands for a request line that was not recognised, `-` for a status that nobody was sent.
[[nodiscard]] std::string format_access(const AccessEntry& entry);

}  // namespace iotax::driver
