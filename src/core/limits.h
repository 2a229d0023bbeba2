// All limits and timeouts as data, without behavior. The defaults are those of the command
// (docs/reference/options.md).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "core/instant.h"

namespace iotax::core {

/// Limits on what a client may send and how long it may take. 0 means "none" for body_bytes_max,
/// stored_bytes_max and keep_alive_requests only; a Duration of zero means "none" for every
/// timeout.
struct Limits {
  // Lines without their line end.
  std::size_t request_line_bytes_max = 8 * 1024;  // RFC 9112 §3 asks for at least 8000
  std::size_t field_line_bytes_max = 16 * 1024;
  // Request line and field section with all line ends; dropped fields count too.
  std::size_t head_bytes_max = 64 * 1024;
  std::size_t fields_max = 100;
  std::uint64_t body_bytes_max = 1024 * 1024;
  /// Largest Content-Length that the server can store, if it must store the complete body; 0: it
  /// need not store it.
  std::uint64_t stored_bytes_max = 0;
  std::size_t chunk_line_bytes_max = 1024;            // size, extensions and line end of one chunk
  std::size_t chunk_extension_bytes_max = 16 * 1024;  // all extensions of one body
  std::size_t trailer_bytes_max = 16 * 1024;          // with all line ends
  std::size_t trailers_max = 64;
  std::uint32_t keep_alive_requests = 100;
  /// Between requests, and before the first byte of one.
  Duration keep_alive = std::chrono::seconds{15};
  /// Head: total time from its first byte. Body: longest gap.
  Duration receive_timeout = std::chrono::seconds{10};
  Duration send_timeout =
      std::chrono::seconds{30};        // longest time in which a client takes no output
  std::uint64_t rate_bytes_min = 500;  // per second, request body and response
  /// While an application thread waits for the client.
  std::uint64_t streaming_rate_bytes_min = 64 * 1024;
  Duration rate_grace = std::chrono::seconds{10};
  Duration linger_idle =
      std::chrono::seconds{5};  // after a rejection: longest gap while discarding
  Duration linger_total = std::chrono::seconds{30};
  /// Unread body bytes that the server discards to keep a connection open.
  std::uint64_t drain_bytes_max = 64 * 1024;
};

}  // namespace iotax::core
