// Validation of a response's status and fields, and the fields that passed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/bytes.h"
#include "core/events.h"

namespace iotax::core {

/// Why a status or a field is rejected before any of it is sent.
enum class HeadFault : std::uint8_t {
  none,
  status_form,     // not three digits, then a space and a reason phrase (or nothing)
  status_interim,  // 1xx as a final status
  status_range,    // below 100 (beyond 4.1: 100 to 999 are accepted)
  status_control,  // a control character in the status
  name_token,      // a field name that is not a token (RFC 9110 §5.1)
  value_control,   // CR, LF, NUL or another control character except HTAB in a value
  /// Connection, Keep-Alive, Proxy-Authenticate, Proxy-Authorization, TE, Trailer(s),
  /// Transfer-Encoding, Upgrade.
  hop_by_hop,
  length_form,      // Content-Length that is not 1*DIGIT or does not fit
  length_conflict,  // two Content-Length fields that differ
};

/// The field lines of a response, checked one by one and stored as they will be sent, in the
/// application's order and spelling, with what they mean for framing and for the fields that the
/// server adds. Copies everything that it keeps.
class ResponseFields {
 public:
  ResponseFields() = default;
  /// The fields must be valid: a fault aborts the process.
  explicit ResponseFields(std::span<const Field> good);

  /// Add a field, its value without leading and trailing blanks; a Content-Length that repeats the
  /// first one is dropped. Adds nothing if a fault is returned. Text is Latin-1 bytes.
  [[nodiscard]] HeadFault add(const Field& field);
  void clear() noexcept;

  /// "NAME: VALUE CRLF" for each.
  [[nodiscard]] std::string_view lines() const noexcept { return lines_.text(); }
  /// Value of Content-Length.
  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept { return length_; }
  /// The Content-Length line within lines(); empty if there is none.
  [[nodiscard]] std::string_view length_line() const noexcept {
    return lines_.text().substr(length_at_, length_bytes_);
  }
  [[nodiscard]] bool has_date() const noexcept { return has_date_; }
  [[nodiscard]] bool has_server() const noexcept { return has_server_; }
  /// Whether there is a field of this name.
  [[nodiscard]] bool has(std::string_view name) const noexcept;

 private:
  void write(std::string_view name, std::string_view value);
  [[nodiscard]] HeadFault add_length(std::string_view name, std::string_view value);

  Bytes lines_;
  std::optional<std::uint64_t> length_;
  std::size_t length_at_ = 0, length_bytes_ = 0;
  bool has_date_ = false;
  bool has_server_ = false;
};

/// Text is Latin-1 bytes. Never allocates.
[[nodiscard]] HeadFault check_status(std::string_view status) noexcept;
/// The code at the start of a checked status.
[[nodiscard]] constexpr int code_of(std::string_view status) noexcept {
  return (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
}
/// One sentence for the developer: what is wrong and what to write instead.
[[nodiscard]] std::string_view explain(HeadFault fault) noexcept;

}  // namespace iotax::core
