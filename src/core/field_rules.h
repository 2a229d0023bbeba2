// What the fields of a request head mean for the message (http1-policy rules 14 to 24, 31, 32, 35).
// Sees complete pieces of text only and does not know buffers, splits or llhttp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/events.h"
#include "core/fault.h"

namespace iotax::core {

/// X-Forwarded-For.
[[nodiscard]] bool is_forwarded_for(std::string_view name) noexcept;
/// X-Request-ID with a usable value: 1 to 128 of [A-Za-z0-9._-].
[[nodiscard]] bool is_request_id(const Field& field) noexcept;

/// What the fields of one head mean for the message itself, collected field by field.
class FieldRules {
 public:
  enum class Keep : std::uint8_t {
    yes,
    silently_not,
    named_not
  };  // named_not: dropped for '_' or as Proxy, for the log

  /// Check one complete field with a trimmed value. `index` is its position in the head.
  [[nodiscard]] Fault add(std::string_view name, std::string_view value, std::size_t index,
                          Keep& keep) noexcept;

  [[nodiscard]] bool has_host() const noexcept { return (seen_ & kHostSeen) != 0; }
  [[nodiscard]] bool has_length() const noexcept { return (seen_ & kLengthSeen) != 0; }
  [[nodiscard]] bool has_coding() const noexcept { return (seen_ & kCodingSeen) != 0; }
  [[nodiscard]] std::uint64_t length() const noexcept { return length_; }
  [[nodiscard]] bool unknown_expectation() const noexcept { return (seen_ & kExpectOther) != 0; }
  [[nodiscard]] bool expects_continue() const noexcept { return (seen_ & kExpectContinue) != 0; }
  [[nodiscard]] bool forwarded() const noexcept { return (seen_ & kForwardedSeen) != 0; }
  /// Whether the connection may persist after this request. RFC 9112 §9.3; "close" wins (rules 31,
  /// 32).
  [[nodiscard]] bool persists(Version version) const noexcept;
  /// Position of the Host field and of the first usable X-Request-ID field; kNone if absent.
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

/// Parse 1*DIGIT that fits; nothing for any other text.
[[nodiscard]] std::optional<std::uint64_t> parse_length(std::string_view digits) noexcept;

}  // namespace iotax::core
