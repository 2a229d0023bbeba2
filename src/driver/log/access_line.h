// The text of log lines: the access line, and the escaping of bytes that a client chose. Pure
// formatting; it must not know where lines go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/instant.h"

namespace iotax::driver {

/// How many offending bytes of a client a warning shows.
inline constexpr std::size_t kShownBytesMax = 80;

/// Append `bytes`, with `"`, `\` and everything but printable ASCII as \xNN.
void append_escaped(std::string& line, std::string_view bytes);

/// One request. Unknown values are empty.
struct AccessEntry {
  std::string client;  // "127.0.0.1:35694"; without the port if a proxy gave the address
  std::string_view method;
  std::string_view target;   // as received
  std::string_view version;  // "HTTP/1.1"; written unchanged
  int status = 0;            // 499: the client disconnected before its response; 0 or less: no
                             // response
  std::uint64_t bytes = 0;   // of the body
  core::Duration duration{};
  std::string_view request_id;
};

/// `127.0.0.1:35694 - "GET /x?y HTTP/1.1" 200 OK 154B 2.3ms REQUEST-ID`, without a line end. `"-"`
/// stands for an unrecognized request line, `-` for a status that was not sent.
[[nodiscard]] std::string format_access(const AccessEntry& entry);

}  // namespace iotax::driver
