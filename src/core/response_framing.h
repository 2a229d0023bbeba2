// How the body of a response is delimited, whatever the application does (RFC 9112 §6.3, beyond 5.6
// to 5.8). Decided once, from numbers and facts, not from text. The request's side of RFC 9112 §6.3
// is in FieldRules and Parser::fill().
#pragma once

#include <cstdint>
#include <optional>

#include "core/events.h"

namespace iotax::core {

enum class Framing : std::uint8_t {
  undecided,  // the length is not known yet
  length,     // Content-Length
  chunked,
  until_close,  // HTTP/1.0 without a length: closing the connection ends the body
  none,         // HEAD, 204 and 304: never a byte
};

struct ResponseFacts {
  int status = 200;
  bool head_request = false;
  std::optional<std::uint64_t> own_length;     // Content-Length of the application
  std::optional<std::uint64_t> content_bytes;  // known to the server
};

struct Decision {
  Framing framing = Framing::undecided;
  std::uint64_t length = 0;                 // of Framing::length
  bool keep_own_length = false;             // the application's Content-Length is sent
  std::optional<std::uint64_t> add_length;  // the server sends this Content-Length
};

/// Decide when the head of the response is known.
[[nodiscard]] Decision decide(const ResponseFacts& facts) noexcept;
/// Decide an undecided framing when the first byte arrives (`ended` false), or when the response
/// ends without one.
[[nodiscard]] Decision decide_late(Version version, bool ended) noexcept;

}  // namespace iotax::core
