// Events returned by Connection::step() and the types they carry. Plain data without behavior.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "core/fault.h"

namespace iotax::core {

/// Identifies one request of a connection; never reused on it. The first is 1.
enum class RequestId : std::uint64_t { none = 0 };

enum class Version : std::uint8_t { http_1_0, http_1_1 };

/// One field line. In requests: name as received (any case), value without leading and trailing SP
/// and HTAB (RFC 9110 §5.5).
struct Field {
  std::string_view name;
  std::string_view value;
};

/// How the body of the request is delimited (RFC 9112 §6.3). `none`, and `length` with 0, both mean
/// that no body follows.
enum class Content : std::uint8_t { none, length, chunked };

/// An accepted request head; Connection::head() returns it. All views point into the connection's
/// memory and stay valid until the first step() or sent() after finish(), abort() or
/// respond_instead() for this id, so that a body may arrive in between.
struct Head {
  RequestId id{};
  std::string_view method;  // a known method, never CONNECT or TRACE
  std::string_view target;  // exactly as received
  std::string_view path;    // of the target, still percent-encoded; "/" when the target has none
  std::string_view query;   // after the first '?', raw; empty when there is none
  /// Of an absolute-form target, else the value of Host; empty when there is neither.
  std::string_view authority;
  std::string_view request_id;  // X-Request-ID when it is 1 to 128 of [A-Za-z0-9._-], else empty
  /// In order of arrival, repeated fields separate; without Proxy, Transfer-Encoding, Trailer and
  /// names that contain '_'.
  std::span<const Field> fields;
  /// The first field name that was dropped (Proxy, or contains '_'), for the log; empty if none.
  std::string_view dropped_name;
  std::uint64_t content_bytes = 0;  // of Content::length
  Version version = Version::http_1_1;
  Content content = Content::none;
  bool expects_continue = false;  // Expect: 100-continue from HTTP/1.1, and a body follows
  bool forwarded = false;         // X-Forwarded-For or Forwarded is among the fields
  bool asterisk =
      false;  // OPTIONS *: the server responds to it (respond_instead(), 204 with Allow)
};

/// The head of `id` is complete and accepted. Connection::head() has it; the event does not carry
/// it, because most steps return another event.
struct HeadEnd {
  RequestId id{};
};

/// A piece of the body of `id`. The view is valid until the connection's next non-const call.
struct BodyData {
  RequestId id{};
  std::span<const std::byte> bytes;
};

/// The body of `id` is complete. Also follows the HeadEnd of a request without a body.
struct BodyEnd {
  RequestId id{};
};

/// All input received so far is consumed.
struct NeedInput {};

/// The response to the request in progress must be completed (finish, abort or respond_instead)
/// before the input after it is processed; or the connection is closing and processes no more
/// input.
struct Paused {};

/// The client's message is rejected. The driver provides the response with reject(); afterwards
/// only output and closing remain. With status 0 there is no response: the connection only closes
/// (idle timeout, EOF between or before requests).
struct Rejected {
  Fault fault{};
  int status = 0;
  std::string_view offending;  // for the log, at most 80 bytes; valid until the next non-const call
  std::uint64_t size_bytes = 0;  // what was announced or counted, for faults of size
  /// The request whose body is at fault, if its HeadEnd was already returned. It stays in progress
  /// until reject(), respond_instead(), finish() or abort(): the application may still respond to
  /// it. If its response has begun, the status is 0 and the connection closes after that response.
  RequestId in_body_of = RequestId::none;
};

using Step = std::variant<NeedInput, HeadEnd, BodyData, BodyEnd, Paused, Rejected>;

}  // namespace iotax::core
