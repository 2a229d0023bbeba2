#include "core/field_rules.h"

#include <algorithm>
#include <cstring>

#include "core/char_class.h"
#include "core/forwarded_field.h"
#include "core/target.h"
#include "core/text.h"

namespace iotax::core {

std::optional<std::uint64_t> parse_length(std::string_view digits) noexcept {
  constexpr std::size_t kAlwaysFits = 19;
  if (digits.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (!is(digits[i], kDigit)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(digits[i] - '0');
    if (i >= kAlwaysFits && value > (UINT64_MAX - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

bool is_forwarded_for(std::string_view name) noexcept {
  return same_token(name, "x-forwarded-for");
}

bool is_request_id(const Field& field) noexcept {
  constexpr std::size_t kBytesMax = 128;
  return same_token(field.name, "x-request-id") && !field.value.empty() &&
         field.value.size() <= kBytesMax && all(field.value, kRequestId);
}

bool FieldRules::first(Seen what) noexcept {
  const bool first = (seen_ & what) == 0;
  seen_ = static_cast<std::uint16_t>(seen_ | what);
  return first;
}

Fault FieldRules::add_length(std::string_view value) noexcept {
  if (!first(kLengthSeen)) return Fault::length_twice;
  if (has_coding()) return Fault::length_and_coding;
  const std::optional<std::uint64_t> length = parse_length(value);
  if (!length || (value.size() > 1 && value.front() == '0')) return Fault::length_form;
  length_ = *length;
  return Fault::none;
}

/// Accept exactly one line with the value "chunked" (rule 22): lists, empty members, parameters and
/// other codings all lead to desynchronization somewhere.
Fault FieldRules::add_coding(std::string_view value) noexcept {
  if (!first(kCodingSeen)) return Fault::coding_twice;
  if (has_length()) return Fault::length_and_coding;
  if (value.empty() || !all(value, kToken)) return Fault::coding_form;
  return same_token(value, "chunked") ? Fault::none : Fault::coding_unknown;
}

void FieldRules::add_connection(std::string_view value) noexcept {
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const std::string_view option = trimmed(value.substr(0, comma));
    if (all(option, kToken)) {
      if (same_token(option, "close")) seen_ |= kCloseSeen;
      if (same_token(option, "keep-alive")) seen_ |= kKeepAliveSeen;
    }
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

Fault FieldRules::add(std::string_view name, std::string_view value, std::size_t index,
                      Keep& keep) noexcept {
  keep = Keep::yes;
  switch (name.size()) {  // only lengths of names with a rule of their own
    case 4:
      if (!same_token(name, "host")) break;
      if (!first(kHostSeen)) return Fault::host_twice;
      host_ = index;
      return is_host(value) ? Fault::none : Fault::host_form;
    case 5:
      if (same_token(name, "proxy")) keep = Keep::named_not;
      break;
    case 6:
      if (!same_token(name, "expect")) break;
      seen_ |=
          all(value, kToken) && same_token(value, "100-continue") ? kExpectContinue : kExpectOther;
      return Fault::none;
    case 7:
      if (same_token(name, "trailer")) keep = Keep::silently_not;
      break;
    case 9:
      if (is_forwarded(name)) seen_ |= kForwardedSeen;
      break;
    case 10:
      if (!same_token(name, "connection")) break;
      add_connection(value);
      return Fault::none;
    case 12:
      if (same_token(name, "content-type"))
        return first(kContentTypeSeen) ? Fault::none : Fault::content_type_twice;
      if (!same_token(name, "x-request-id")) break;
      if (request_id_ == kNone && is_request_id({name, value})) request_id_ = index;
      return Fault::none;
    case 13:
      if (!same_token(name, "authorization")) break;
      return first(kAuthorizationSeen) ? Fault::none : Fault::authorization_twice;
    case 14:
      if (same_token(name, "content-length")) return add_length(value);
      break;
    case 15:
      if (is_forwarded_for(name)) seen_ |= kForwardedSeen;
      break;
    case 17:
      if (!same_token(name, "transfer-encoding")) break;
      keep = Keep::silently_not;
      return add_coding(value);
    default:
      break;
  }
  if (std::memchr(name.data(), '_', name.size()) != nullptr) keep = Keep::named_not;
  return Fault::none;
}

bool FieldRules::persists(Version version) const noexcept {
  if ((seen_ & kCloseSeen) != 0) return false;
  return version == Version::http_1_1 || (seen_ & kKeepAliveSeen) != 0;
}

}  // namespace iotax::core
