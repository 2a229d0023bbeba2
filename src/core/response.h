// The types of the response side of Connection: what the caller passes in, and the results.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/events.h"
#include "core/response_fields.h"

namespace iotax::core {

/// A response head as the application gave it, its status already checked with check_status(). The
/// connection adds framing, and Date and Server unless `fields` has them. All views need to be
/// valid only during the call.
struct ResponseHead {
  std::string_view status;                 // "200 OK"; "404" gets its standard reason phrase
  const ResponseFields* fields = nullptr;  // null: none
  std::string_view date;                   // IMF-fixdate of now (RFC 9110 §5.6.7)
  std::string_view server;                 // empty: no Server field
  Field request_id;                        // added unless `fields` have it; no name: none
  /// Size of the complete body if known in advance: the sum of an exact list or tuple, a file's
  /// length, 0 when the iterable ended without a block. A Content-Length in `fields` takes
  /// precedence.
  std::optional<std::uint64_t> content_bytes;
};

/// A complete response made by the server: text/plain, one sentence, the request id.
struct ServerResponse {
  int status = 500;
  std::string_view sentence;  // without line end
  std::string_view request_id;
  std::string_view date;
  std::string_view server;
  std::string_view request_id_header;  // name of a field with the request id; empty: none
  std::uint32_t retry_after_s = 0;     // with 503: Retry-After; 0: none
  bool close = true;
};

/// Result of a block, or of the end of a response.
enum class Outcome : std::uint8_t {
  ok,
  /// body: the block exceeds Content-Length; the part that fits was taken, the rest is dropped (RFC
  /// 9112 §6.3).
  over_length,
  short_length,  // finish: fewer bytes than Content-Length; the response is visibly truncated
  complete,      // body: Content-Length is reached exactly; further blocks are not needed
};

}  // namespace iotax::core
