// What the machine says: the events of step(), and the words they use. Plain data, no behaviour.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "core/fault.h"

namespace iotax::core {

/// Names one request of one connection; never reused on it. The first is 1.
enum class RequestId : std::uint64_t { none = 0 };

enum class Version : std::uint8_t { http_1_0, http_1_1 };

/// One field line. In requests: name as received (any case), value trimmed of SP and HTAB (RFC 9110
/// §5.5).
struct Field {
  std::string_view name;
  std::string_view value;
};

/// How the content of the request is delimited (RFC 9112 §6.3). `none` and `length` with 0 both
/// mean that no content follows.
enum class Content : std::uint8_t { none, length, chunked };

/// An accepted request head; Connection::head() has it. All views lie in the connection's own
/// memory and stay valid until finish(), abort() or answer() of this id (not only until the next
/// call), so that a body may arrive in between.
struct Head {
  RequestId id{};
  std::string_view method;  // a known method, never CONNECT or TRACE
  std::string_view target;  // exactly as received
  std::string_view path;    // of the target, still percent-encoded; "/" when the target has none
  std::string_view query;   // behind the first '?', raw; empty when there is none
  /// Of an absolute-form target, else the value of Host; empty when there is neither.
  std::string_view authority;
  std::string_view request_id;  // X-Request-ID when it is 1 to 128 of [A-Za-z0-9._-], else empty
  /// In order, repeats apart; without names that hold '_', Proxy, Transfer-Encoding and Trailer.
  std::span<const Field> fields;
  /// The first field name that was dropped for '_' or as Proxy, for the log; empty when none was.
  std::string_view dropped_name;
  std::uint64_t content_bytes = 0;  // of Content::length
  Version version = Version::http_1_1;
  Content content = Content::none;
  bool expects_continue = false;  // Expect: 100-continue from HTTP/1.1 with content to come
  bool forwarded = false;         // X-Forwarded-For is among the fields
  bool asterisk = false;          // OPTIONS *: the server answers it (answer(), 204 with Allow)
};

/// The head of `id` is complete and accepted; it is not part of the event, since most steps are
/// none.
struct HeadEnd {
  RequestId id{};
};

/// A piece of the content of `id`. The view ends with the connection's next non-const call.
struct BodyData {
  RequestId id{};
  std::span<const std::byte> bytes;
};

/// The content of `id` is complete. Follows the HeadEnd also when there is no content.
struct BodyEnd {
  RequestId id{};
};

/// Everything received so far is used up.
struct NeedInput {};

/// The request in progress must be answered (finish, abort or answer) before anything behind it is
/// looked at; or the connection is closing and nothing more will be looked at.
struct Paused {};

/// The peer's message is refused. The driver gives the text of the answer with refuse(); afterwards
/// only output and closing remain. With status 0 nothing is answered: the connection only closes
/// (idle time-out, EOF between or before requests).
struct Rejected {
  Fault fault{};
  int status = 0;
  std::string_view offending;    // for the log, at most 80 bytes; ends with the next non-const call
  std::uint64_t size_bytes = 0;  // what was announced or counted, for faults that are about a size
  /// The request whose content is at fault, when its Head was already given out. It stays in
  /// progress until refuse(), answer(), finish() or abort(): the application may still answer it.
  /// Once its own answer has begun, the status is 0, and the connection closes behind that answer.
  RequestId in_body_of = RequestId::none;
};

using Step = std::variant<NeedInput, HeadEnd, BodyData, BodyEnd, Paused, Rejected>;

}  // namespace iotax::core
