// The text of answers: status line, fields, framing fields, the server's own answers. It writes
// what it is told; what is to be written is decided in framing.h and by the connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/bytes.h"
#include "core/framing.h"
#include "core/response.h"

namespace iotax::core {

/// The Connection field of an answer (RFC 9112 §9.3): nothing for HTTP/1.1 that persists.
enum class Persist : std::uint8_t { silently, said, close };

/// A whole head; `fields` are those of `head`. Server fields come first, then the application's in
/// its order and spelling; its Content-Length goes out at most once, and only when `decision` keeps
/// it.
void write_head(Bytes& out, const ResponseHead& head, const AnswerFields& fields, Persist persist,
                const Decision& decision);
/// A head whose framing is not known yet. Returns where write_framing() has to go in.
[[nodiscard]] std::size_t write_open_head(Bytes& out, const ResponseHead& head,
                                          const AnswerFields& fields);
void write_framing(Bytes& out, Persist persist, const Decision& decision);

/// RFC 9112 §7.1: the line before `bytes` of chunk data.
void write_chunk_line(Bytes& out, std::uint64_t bytes);

void write_interim(Bytes& out, int status, const AnswerFields& fields);
/// The content of write_answer(), were it not for HEAD.
[[nodiscard]] std::size_t content_bytes(const ServerAnswer& answer) noexcept;
/// A whole answer: text/plain, the sentence and the request id. Without content for HEAD and 204.
/// 405 and 204 name the methods.
void write_answer(Bytes& out, const ServerAnswer& answer, Persist persist, bool head_request);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace iotax::core
