// The response's side of the contract: what the application's side hands in, and what comes of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/response_fields.h"

namespace iotax::core {

/// An answer's head as the application gave it, its status already checked with check_status().
/// Framing is added by the connection; Date and Server are added unless `fields` has them. All
/// views end with the call.
struct ResponseHead {
  std::string_view status;               // "200 OK"; "404" gets its standard reason phrase
  const AnswerFields* fields = nullptr;  // null: none
  std::string_view date;                 // IMF-fixdate of now (RFC 9110 §5.6.7)
  std::string_view server;               // empty: no Server field
  /// The size of the whole content when it is known beforehand: the sum of an exact list or tuple,
  /// a file's length, 0 when the iterable ended without a block. A Content-Length among `fields`
  /// takes precedence.
  std::optional<std::uint64_t> content_bytes;
};

/// A whole answer made by the server itself: text/plain, one sentence, the request id.
struct ServerAnswer {
  int status = 500;
  std::string_view sentence;  // without line end
  std::string_view request_id;
  std::string_view date;
  std::string_view server;
  std::uint32_t retry_after_s = 0;  // with 503: Retry-After; 0: none
  bool close = true;
};

/// What became of a block or of the end of an answer.
enum class Outcome : std::uint8_t {
  ok,
  /// body: the block went past Content-Length; what fitted was taken, the rest is cut (RFC 9112
  /// §6.3).
  over_length,
  short_length,  // finish: fewer bytes than Content-Length came; the answer ends visibly broken
  complete,      // body: Content-Length is reached exactly; further blocks are not needed
};

}  // namespace iotax::core
