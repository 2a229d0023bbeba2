// The rules of a request head that are about text: target, Host, fields (http1-policy rules 7 to
// 24, 31, 32, 35). It sees whole pieces of text only and knows nothing of buffers, cuts or llhttp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/events.h"
#include "core/fault.h"

namespace iotax::core {

/// The parts of a request target; views into it.
struct Target {
  std::string_view path;  // empty when an absolute-form target has none: "/" is meant
  std::string_view query;
  std::string_view authority;  // of an absolute-form target
  bool asterisk = false;
};

/// Origin-form, absolute-form and, for OPTIONS, asterisk-form. RFC 9112 §3.2, RFC 3986 §3.
[[nodiscard]] Fault parse_target(std::string_view target, std::string_view method,
                                 Target& parts) noexcept;

/// host [":" port], not empty, port up to 65535. RFC 9110 §7.2, RFC 3986 §3.2.2; http1-policy
/// rule 20.
[[nodiscard]] bool is_host(std::string_view text) noexcept;

/// A method that is passed on to the application, or CONNECT or TRACE.
[[nodiscard]] bool is_known_method(std::string_view method) noexcept;

/// X-Forwarded-For.
[[nodiscard]] bool is_forwarded_for(std::string_view name) noexcept;
/// X-Request-ID with a value that can be used: 1 to 128 of [A-Za-z0-9._-].
[[nodiscard]] bool is_request_id(const Field& field) noexcept;

/// What the fields of one head say about the message itself, gathered field by field.
class FieldRules {
 public:
  enum class Keep : std::uint8_t {
    yes,
    silently_not,
    named_not
  };  // named_not: dropped for '_' or as Proxy, for the log

  /// Look at one complete field, value trimmed. `index` is its place in the head.
  [[nodiscard]] Fault add(std::string_view name, std::string_view value, std::size_t index,
                          Keep& keep) noexcept;

  [[nodiscard]] bool has_host() const noexcept { return (seen_ & kHostSeen) != 0; }
  [[nodiscard]] bool has_length() const noexcept { return (seen_ & kLengthSeen) != 0; }
  [[nodiscard]] bool has_coding() const noexcept { return (seen_ & kCodingSeen) != 0; }
  [[nodiscard]] std::uint64_t length() const noexcept { return length_; }
  [[nodiscard]] bool unknown_expectation() const noexcept { return (seen_ & kExpectOther) != 0; }
  [[nodiscard]] bool expects_continue() const noexcept { return (seen_ & kExpectContinue) != 0; }
  [[nodiscard]] bool forwarded() const noexcept { return (seen_ & kForwardedSeen) != 0; }
  /// Whether the connection may persist behind this request. RFC 9112 §9.3; "close" wins (rules 31,
  /// 32).
  [[nodiscard]] bool persists(Version version) const noexcept;
  /// Place of the Host and of the first usable X-Request-ID field; kNone when there is none.
  static constexpr std::size_t kNone = SIZE_MAX;
  [[nodiscard]] std::size_t host_index() const noexcept { return host_; }
  [[nodiscard]] std::size_t request_id_index() const noexcept { return request_id_; }

 private:
  enum Seen : std::uint16_t {
    kHostSeen = 1,
    kLengthSeen = 2,
    kCodingSeen = 4,
    kContentTypeSeen = 8,
    kAuthorizationSeen = 16,
    kExpectContinue = 32,
    kExpectOther = 64,
    kCloseSeen = 128,
    kKeepAliveSeen = 256,
    kForwardedSeen = 512,
  };
  [[nodiscard]] bool first(Seen what) noexcept;
  [[nodiscard]] Fault add_length(std::string_view value) noexcept;
  [[nodiscard]] Fault add_coding(std::string_view value) noexcept;
  void add_connection(std::string_view value) noexcept;

  std::uint16_t seen_ = 0;
  std::uint64_t length_ = 0;
  std::size_t host_ = kNone;
  std::size_t request_id_ = kNone;
};

/// 1*DIGIT that fits; nothing else.
[[nodiscard]] std::optional<std::uint64_t> parse_length(std::string_view digits) noexcept;

}  // namespace iotax::core
