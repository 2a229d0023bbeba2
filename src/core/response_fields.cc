// Validation of a response's status and fields (pep3333-beyond section 4).
#include "core/response_fields.h"

#include "core/char_class.h"
#include "core/check.h"
#include "core/field_rules.h"
#include "core/text.h"

namespace iotax::core {
namespace {

/// RFC 9110 §7.6.1 and PEP 3333: connection fields, which the server controls.
bool is_hop_by_hop(std::string_view name) noexcept {
  switch (name.size()) {
    case 2:
      return same_token(name, "te");
    case 7:
      return same_token(name, "trailer") || same_token(name, "upgrade");
    case 8:
      return same_token(name, "trailers");
    case 10:
      return same_token(name, "connection") || same_token(name, "keep-alive");
    case 17:
      return same_token(name, "transfer-encoding");
    case 18:
      return same_token(name, "proxy-authenticate");
    case 19:
      return same_token(name, "proxy-authorization");
    default:
      return false;
  }
}

}  // namespace

HeadFault check_status(std::string_view status) noexcept {
  if (!all(status, kStatus)) return HeadFault::status_control;
  if (status.size() < 3 || !is(status[0], kDigit) || !is(status[1], kDigit) ||
      !is(status[2], kDigit))
    return HeadFault::status_form;
  if (status.size() > 3 && status[3] != ' ') return HeadFault::status_form;
  if (status[0] == '0') return HeadFault::status_range;
  if (status[0] == '1') return HeadFault::status_interim;
  return HeadFault::none;
}

ResponseFields::ResponseFields(std::span<const Field> good) {
  for (const Field& field : good) IOTAX_CHECK(add(field) == HeadFault::none);
}

void ResponseFields::write(std::string_view name, std::string_view value) {
  constexpr std::size_t kAround = std::string_view(": \r\n").size();
  char* at = copy_text(lines_.open(name.size() + value.size() + kAround), name);
  *at++ = ':';
  *at++ = ' ';
  at = copy_text(at, value);
  *at++ = '\r';
  *at++ = '\n';
  lines_.close(at);
}

HeadFault ResponseFields::add_length(std::string_view name, std::string_view value) {
  const std::optional<std::uint64_t> here = parse_length(value);
  if (!here) return HeadFault::length_form;
  if (length_) return length_ == here ? HeadFault::none : HeadFault::length_conflict;
  length_ = here;
  length_at_ = lines_.size();
  write(name, value);
  length_bytes_ = lines_.size() - length_at_;
  return HeadFault::none;
}

HeadFault ResponseFields::add(const Field& field) {
  const std::string_view name = field.name;
  const bool usual = same_text(name, "Content-Type") || same_text(name, "Content-Length");
  if (!usual && (name.empty() || !all(name, kToken))) return HeadFault::name_token;
  if (!all(field.value, kValue)) return HeadFault::value_control;
  const std::string_view value = trimmed(field.value);
  switch (name.size()) {  // only lengths of names with a rule of their own
    case 4:
      has_date_ |= same_token(name, "date");
      break;
    case 6:
      has_server_ |= same_token(name, "server");
      break;
    case 14:
      if (same_token(name, "content-length")) return add_length(name, value);
      break;
    default:
      if (is_hop_by_hop(name)) return HeadFault::hop_by_hop;
      break;
  }
  write(name, value);
  return HeadFault::none;
}

bool ResponseFields::has(std::string_view name) const noexcept {
  for (std::string_view rest = lines(); !rest.empty(); rest.remove_prefix(rest.find("\r\n") + 2)) {
    if (same_ignoring_case(rest.substr(0, rest.find(':')), name)) return true;
  }
  return false;
}

void ResponseFields::clear() noexcept {
  lines_.clear();
  length_.reset();
  length_at_ = length_bytes_ = 0;
  has_date_ = has_server_ = false;
}

std::string_view explain(HeadFault fault) noexcept {
  switch (fault) {
    case HeadFault::none:
      return "nothing is wrong";
    case HeadFault::status_form:
      return "a status is three digits, a space and a reason phrase: write '200 OK'";
    case HeadFault::status_interim:
      return "a 1xx status is not a final response: give a status of 200 or more, and send early "
             "hints "
             "with "
             "environ['wsgi.early_hints']";
    case HeadFault::status_range:
      return "a status code must be between 100 and 999: write '200 OK'";
    case HeadFault::status_control:
      return "a status must not contain control characters: remove CR, LF and the like";
    case HeadFault::name_token:
      return "a header name is letters, digits and any of !#$%&'*+-.^_`|~: remove spaces, colons "
             "and other characters";
    case HeadFault::value_control:
      return "a header value must not contain control characters: remove CR, LF, NUL and the like";
    case HeadFault::hop_by_hop:
      return "this is a hop-by-hop header (PEP 3333); the server manages the connection: remove it "
             "from the response's "
             "headers";
    case HeadFault::length_form:
      return "a Content-Length is digits only: write str(len(body))";
    case HeadFault::length_conflict:
      return "two Content-Length headers differ: keep the one that is right";
  }
  return "";
}

}  // namespace iotax::core
