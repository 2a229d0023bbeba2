// What may stand in a status and in a field of a response, and the fields that passed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/bytes.h"
#include "core/events.h"

namespace iotax::core {

/// Why a status or a field is refused before it gets anywhere near the wire.
enum class HeadFault : std::uint8_t {
  none,
  status_form,     // not three digits, then a space and a reason phrase (or nothing)
  status_interim,  // 1xx as a final status
  status_range,    // below 100 (beyond 4.1: 100 to 999 are accepted)
  status_control,  // a control character in the status
  name_token,      // a field name that is not a token (RFC 9110 §5.1)
  value_control,   // CR, LF, NUL or another control character but HTAB in a value
  /// Connection, Keep-Alive, Proxy-Authenticate, Proxy-Authorization, TE, Trailer(s),
  /// Transfer-Encoding, Upgrade.
  hop_by_hop,
  length_form,      // Content-Length that is not 1*DIGIT or does not fit
  length_conflict,  // two Content-Length fields that differ
};

/// The field lines of an answer, checked one by one and written as they will be sent, in order and
/// spelling of the application, and what they say about framing and about the fields that the
/// server would add. Nothing of the caller's is kept.
class AnswerFields {
 public:
  AnswerFields() = default;
  /// Of fields that are known to be good: a fault ends the process.
  explicit AnswerFields(std::span<const Field> good);

  /// Adds a field, its value without the blanks around it; a Content-Length that repeats the first
  /// one is left out. Nothing is added when a fault is returned. Text is Latin-1 octets.
  [[nodiscard]] HeadFault add(const Field& field);
  void clear() noexcept;

  /// "NAME: VALUE CRLF" for each.
  [[nodiscard]] std::string_view lines() const noexcept { return lines_.text(); }
  /// Content-Length.
  [[nodiscard]] std::optional<std::uint64_t> length() const noexcept { return length_; }
  /// Where its line lies in lines(); empty when there is none.
  [[nodiscard]] std::string_view length_line() const noexcept {
    return lines_.text().substr(length_at_, length_bytes_);
  }
  [[nodiscard]] bool has_date() const noexcept { return has_date_; }
  [[nodiscard]] bool has_server() const noexcept { return has_server_; }

 private:
  void write(std::string_view name, std::string_view value);
  [[nodiscard]] HeadFault add_length(std::string_view name, std::string_view value);

  Bytes lines_;
  std::optional<std::uint64_t> length_;
  std::size_t length_at_ = 0, length_bytes_ = 0;
  bool has_date_ = false;
  bool has_server_ = false;
};

/// Text is Latin-1 octets. Never allocates.
[[nodiscard]] HeadFault check_status(std::string_view status) noexcept;
/// The code in front of a checked status.
[[nodiscard]] constexpr int code_of(std::string_view status) noexcept {
  return (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
}
/// One sentence for people: what is wrong and what to write instead. A switch without default.
[[nodiscard]] std::string_view explain(HeadFault fault) noexcept;

}  // namespace iotax::core
