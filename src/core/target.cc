// Every loop is one table lookup per byte.
#include "core/target.h"

#include <algorithm>
#include <array>

#include "core/char_class.h"
#include "core/ip_address.h"
#include "core/text.h"

namespace iotax::core {
namespace {

/// RFC 3986 path bytes; each "%" with two hex digits, never "%00" (rule 7).
Fault check_path(std::string_view path) noexcept {
  for (;;) {
    path.remove_prefix(run_of(path, kPath));
    if (path.empty()) return Fault::none;
    if (path[0] == '#') return Fault::target_fragment;
    if (path[0] != '%') return Fault::path_octet;
    if (path.size() < 3 || !is(path[1], kHex) || !is(path[2], kHex)) return Fault::path_percent;
    if (path[1] == '0' && path[2] == '0') return Fault::path_nul;
    path.remove_prefix(3);
  }
}

/// 0x21-0x7E except "#", raw (rule 8).
Fault check_query(std::string_view query) noexcept {
  query.remove_prefix(run_of(query, kQuery));
  if (query.empty()) return Fault::none;
  return query[0] == '#' ? Fault::target_fragment : Fault::target_octet;
}

Fault split_path(std::string_view text, Target& parts) noexcept {
  const std::size_t mark = text.find('?');
  parts.path = text.substr(0, mark);
  if (mark != std::string_view::npos) parts.query = text.substr(mark + 1);
  if (const Fault fault = check_path(parts.path); fault != Fault::none) return fault;
  return check_query(parts.query);
}

/// scheme "://" authority [path] ["?" query]
Fault parse_absolute(std::string_view target, Target& parts) noexcept {
  const std::size_t colon = target.find(':');
  const std::string_view scheme = target.substr(0, colon);
  if (colon == std::string_view::npos || target.substr(colon, 3) != "://")
    return Fault::target_form;
  if (same_token(scheme, "https")) return Fault::target_https;
  if (!same_token(scheme, "http")) return Fault::target_scheme;
  const std::string_view rest = target.substr(colon + 3);
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  parts.authority = rest.substr(0, end);
  if (parts.authority.find('@') != std::string_view::npos) return Fault::target_userinfo;
  if (!is_host(parts.authority)) return Fault::target_host;
  return split_path(rest.substr(end), parts);
}

/// The text inside "[…]": an IPv6 address, or IPvFuture (RFC 3986 §3.2.2). A zone is not allowed
/// (RFC 9110 §4.1).
bool is_ip_literal(std::string_view text) noexcept {
  if (text.empty()) return false;
  if (text.front() == 'v' || text.front() == 'V') {
    const std::size_t dot = text.find('.');
    if (dot == std::string_view::npos || dot < 2 || dot + 1 == text.size()) return false;
    if (!all(text.substr(1, dot - 1), kHex)) return false;
    for (const char c : text.substr(dot + 1))
      if (!is(c, kHost) && c != ':') return false;
    return true;
  }
  return is_ipv6(text);
}

}  // namespace

Fault parse_target(std::string_view target, std::string_view method, Target& parts) noexcept {
  if (!target.empty() && target.front() == '/') [[likely]]
    return split_path(target, parts);
  if (!target.empty() && target.front() == '*') {
    if (target.size() != 1 || method != "OPTIONS") return Fault::target_asterisk;
    parts.path = target;
    parts.asterisk = true;
    return Fault::none;
  }
  return parse_absolute(target, parts);
}

bool is_port(std::string_view text) noexcept {
  constexpr std::string_view kLargest = "65535";
  return all(text, kDigit) &&
         (text.size() < kLargest.size() || (text.size() == kLargest.size() && text <= kLargest));
}

bool is_host(std::string_view text) noexcept {
  std::size_t end = 0;  // of the host
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos || !is_ip_literal(text.substr(1, close - 1))) return false;
    end = close + 1;
  } else {
    end = run_of(text, kHost);
    while (end < text.size() && text[end] == '%') {
      if (text.size() - end < 3 || !is(text[end + 1], kHex) || !is(text[end + 2], kHex))
        return false;
      end += 3;
      end += run_of(text.substr(end), kHost);
    }
    if (end == 0) return false;
  }
  return end == text.size() || (text[end] == ':' && is_port(text.substr(end + 1)));
}

bool is_known_method(std::string_view method) noexcept {
  static constexpr std::array<std::string_view, 34> kMethods{
      "GET",         "HEAD",       "POST",       "PUT",   "DELETE",   "CONNECT", "OPTIONS",
      "TRACE",       "PATCH",      "COPY",       "LOCK",  "MKCOL",    "MOVE",    "PROPFIND",
      "PROPPATCH",   "SEARCH",     "UNLOCK",     "BIND",  "REBIND",   "UNBIND",  "ACL",
      "REPORT",      "MKACTIVITY", "CHECKOUT",   "MERGE", "M-SEARCH", "NOTIFY",  "SUBSCRIBE",
      "UNSUBSCRIBE", "PURGE",      "MKCALENDAR", "LINK",  "UNLINK",   "QUERY"};
  for (const std::string_view known : kMethods)
    if (method == known) return true;
  return false;
}

}  // namespace iotax::core
