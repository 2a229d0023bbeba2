// How an answer's content is delimited, whatever the application does (RFC 9112 §6.3, beyond 5.6
// to 5.8). Decided once. It sees numbers and facts, not text. The request's side of RFC 9112 §6.3
// is FieldRules and Parser::fill().
#pragma once

#include <cstdint>
#include <optional>

#include "core/events.h"

namespace iotax::core {

enum class Framing : std::uint8_t {
  undecided,  // nothing says yet how much will come
  length,     // Content-Length
  chunked,
  until_close,  // HTTP/1.0 without a length: the end of the connection is the end of the content
  none,         // HEAD, 204 and 304: never an octet
};

struct AnswerFacts {
  int status = 200;
  bool head_request = false;
  std::optional<std::uint64_t> own_length;     // Content-Length of the application
  std::optional<std::uint64_t> content_bytes;  // known to the server
};

struct Decision {
  Framing framing = Framing::undecided;
  std::uint64_t length = 0;                 // of Framing::length
  bool keep_own_length = false;             // the application's Content-Length goes out
  std::optional<std::uint64_t> add_length;  // a Content-Length of the server goes out
};

/// When the head of the answer is known.
[[nodiscard]] Decision decide(const AnswerFacts& facts) noexcept;
/// When the first octet comes (`ended` false) or the end comes without one, and it was undecided
/// until then.
[[nodiscard]] Decision decide_late(Version version, bool ended) noexcept;

}  // namespace iotax::core
