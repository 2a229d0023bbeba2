// The text of responses: status line, fields, framing fields, the server's own responses. It only
// writes; response_framing.h and the connection decide what to write.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/bytes.h"
#include "core/response.h"
#include "core/response_framing.h"

namespace iotax::core {

/// The Connection field of a response (RFC 9112 §9.3): omitted for HTTP/1.1 that persists.
enum class Persist : std::uint8_t { silently, said, close };

/// Write a complete head; `fields` are those of `head`. Server fields come first, then the
/// application's in its order and spelling. Its Content-Length is written at most once, and only if
/// `decision` keeps it.
void write_head(Bytes& out, const ResponseHead& head, const ResponseFields& fields, Persist persist,
                const Decision& decision);
/// Write a head whose framing is not known yet. Returns the position at which write_framing() must
/// insert it.
[[nodiscard]] std::size_t write_open_head(Bytes& out, const ResponseHead& head,
                                          const ResponseFields& fields);
void write_framing(Bytes& out, Persist persist, const Decision& decision);

/// RFC 9112 §7.1: the line before `bytes` of chunk data.
void write_chunk_line(Bytes& out, std::uint64_t bytes);

void write_interim(Bytes& out, int status, const ResponseFields& fields);
/// Size of the body that write_server_response() writes, except for HEAD.
[[nodiscard]] std::size_t content_bytes(const ServerResponse& response) noexcept;
/// Write a complete response: text/plain, the sentence and the request id. Without a body for HEAD
/// and 204. 405 and 204 list the methods.
void write_server_response(Bytes& out, const ServerResponse& response, Persist persist,
                           bool head_request);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace iotax::core
