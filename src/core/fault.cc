// The words of each fault. Who broke the rule, when and where is not known here.
#include "core/fault.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>

#include "core/events.h"
#include "core/limits.h"

namespace iotax::core {

int status_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::none:
    case Fault::idle_timeout:
    case Fault::eof_between:
      return 0;
    case Fault::leading_line_end:
    case Fault::tls_handshake:
    case Fault::method_form:
    case Fault::request_line_form:
    case Fault::version_missing:
    case Fault::version_form:
    case Fault::target_form:
    case Fault::target_asterisk:
    case Fault::target_octet:
    case Fault::target_fragment:
    case Fault::path_octet:
    case Fault::path_percent:
    case Fault::path_nul:
    case Fault::target_scheme:
    case Fault::target_userinfo:
    case Fault::target_host:
    case Fault::target_host_differs:
    case Fault::line_end:
    case Fault::field_name:
    case Fault::field_value:
    case Fault::field_fold:
    case Fault::host_missing:
    case Fault::host_twice:
    case Fault::host_form:
    case Fault::content_type_twice:
    case Fault::authorization_twice:
    case Fault::length_form:
    case Fault::length_twice:
    case Fault::length_and_coding:
    case Fault::coding_form:
    case Fault::coding_http_1_0:
    case Fault::chunk_size:
    case Fault::chunk_extension:
    case Fault::chunk_line_end:
    case Fault::chunk_data_end:
    case Fault::chunk_line_limit:
    case Fault::chunk_extensions_limit:
    case Fault::trailer_form:
    case Fault::trailer_forbidden:
    case Fault::eof_in_head:
    case Fault::eof_in_body:
      return 400;
    case Fault::method_refused:
      return 405;
    case Fault::head_timeout:
    case Fault::body_timeout:
    case Fault::body_rate:
      return 408;
    case Fault::body_limit:
      return 413;
    case Fault::request_line_limit:
      return 414;
    case Fault::expectation:
      return 417;
    case Fault::target_https:
      return 421;
    case Fault::field_line_limit:
    case Fault::fields_limit:
    case Fault::head_limit:
    case Fault::trailer_limit:
    case Fault::trailers_limit:
      return 431;
    case Fault::method_unknown:
    case Fault::coding_unknown:
    case Fault::coding_twice:
      return 501;
    case Fault::http2_preface:
    case Fault::version_unsupported:
      return 505;
  }
  return 0;
}

std::string_view reason(Fault fault) noexcept {
  switch (fault) {
    case Fault::none:
      return "no fault";
    case Fault::idle_timeout:
      return "no request within the keep-alive time";
    case Fault::eof_between:
      return "connection ended by the client between requests";
    case Fault::leading_line_end:
      return "more than one empty line before the request line";
    case Fault::tls_handshake:
      return "TLS handshake on a plain HTTP port: use http://";
    case Fault::http2_preface:
      return "HTTP/2 preface on an HTTP/1.1 port: let the client or proxy speak HTTP/1.1";
    case Fault::method_form:
      return "method: not a token followed by one space";
    case Fault::method_unknown:
      return "method: unknown (methods are case-sensitive)";
    case Fault::method_refused:
      return "method: CONNECT and TRACE are not served";
    case Fault::request_line_form:
      return "request line: not method, target and version with single spaces between them";
    case Fault::request_line_limit:
      return "request line is too long";
    case Fault::version_missing:
      return "request line: no HTTP version";
    case Fault::version_form:
      return "version: not \"HTTP/\", a digit, \".\" and a digit";
    case Fault::version_unsupported:
      return "version: only HTTP/1.0 and HTTP/1.1 are served";
    case Fault::target_form:
      return "target: neither a path that starts with \"/\" nor an http:// URL";
    case Fault::target_asterisk:
      return "target: \"*\" is for OPTIONS only, and stands alone";
    case Fault::target_octet:
      return "target: an octet that must be percent-encoded";
    case Fault::target_fragment:
      return "target: \"#\" is not sent to a server";
    case Fault::path_octet:
      return "path: an octet that must be percent-encoded";
    case Fault::path_percent:
      return "path: \"%\" is not followed by two hex digits";
    case Fault::path_nul:
      return "path: \"%00\" is not allowed";
    case Fault::target_scheme:
      return "target: the scheme of the URL is not http";
    case Fault::target_https:
      return "target: https:// on a plain HTTP port";
    case Fault::target_userinfo:
      return "target: user information in the URL";
    case Fault::target_host:
      return "target: the URL's host is not host[:port]";
    case Fault::target_host_differs:
      return "target: the URL's host and the Host field differ";
    case Fault::line_end:
      return "line does not end in CR LF";
    case Fault::field_name:
      return "field name: not a token directly followed by \":\"";
    case Fault::field_value:
      return "field value: control character";
    case Fault::field_fold:
      return "field line starts with white space (obsolete line folding)";
    case Fault::field_line_limit:
      return "field line is too long";
    case Fault::fields_limit:
      return "too many field lines";
    case Fault::head_limit:
      return "request line and fields are too long";
    case Fault::host_missing:
      return "Host: missing in an HTTP/1.1 request";
    case Fault::host_twice:
      return "Host: more than one";
    case Fault::host_form:
      return "Host: not host[:port]";
    case Fault::content_type_twice:
      return "Content-Type: more than one";
    case Fault::authorization_twice:
      return "Authorization: more than one";
    case Fault::expectation:
      return "Expect: only 100-continue is known";
    case Fault::length_form:
      return "Content-Length: not 0 or digits without a leading zero";
    case Fault::length_twice:
      return "Content-Length: more than one";
    case Fault::length_and_coding:
      return "Transfer-Encoding and Content-Length in one request";
    case Fault::coding_form:
      return "Transfer-Encoding: not exactly \"chunked\"";
    case Fault::coding_unknown:
      return "Transfer-Encoding: only chunked is known";
    case Fault::coding_twice:
      return "Transfer-Encoding: more than one";
    case Fault::coding_http_1_0:
      return "Transfer-Encoding in an HTTP/1.0 request";
    case Fault::body_limit:
      return "body is too large";
    case Fault::chunk_size:
      return "chunk size: not 1 to 16 hex digits";
    case Fault::chunk_extension:
      return "chunk extension: not ;name, ;name=token or ;name=\"text\"";
    case Fault::chunk_line_end:
      return "chunk line does not end in CR LF";
    case Fault::chunk_data_end:
      return "chunk data is not followed by CR LF";
    case Fault::chunk_line_limit:
      return "chunk line is too long";
    case Fault::chunk_extensions_limit:
      return "chunk extensions are too long together";
    case Fault::trailer_form:
      return "trailer: not a field line";
    case Fault::trailer_forbidden:
      return "trailer: Host, Content-Length and Transfer-Encoding do not belong there";
    case Fault::trailer_limit:
      return "trailers are too long";
    case Fault::trailers_limit:
      return "too many trailers";
    case Fault::eof_in_head:
      return "connection ended inside the request head";
    case Fault::eof_in_body:
      return "connection ended inside the body";
    case Fault::head_timeout:
      return "request head was not complete in time";
    case Fault::body_timeout:
      return "body: nothing came for too long";
    case Fault::body_rate:
      return "body: came too slowly";
  }
  return "";
}

std::string_view option_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::idle_timeout:
      return "--keep-alive";
    case Fault::request_line_limit:
      return "--limit-request-line";
    case Fault::field_line_limit:
      return "--limit-field";
    case Fault::fields_limit:
      return "--limit-fields";
    case Fault::head_limit:
      return "--limit-head";
    case Fault::body_limit:
      return "--limit-body";
    case Fault::head_timeout:
    case Fault::body_timeout:
      return "--receive-timeout";
    case Fault::body_rate:
      return "--min-rate";
    case Fault::none:
    case Fault::eof_between:
    case Fault::leading_line_end:
    case Fault::tls_handshake:
    case Fault::http2_preface:
    case Fault::method_form:
    case Fault::method_unknown:
    case Fault::method_refused:
    case Fault::request_line_form:
    case Fault::version_missing:
    case Fault::version_form:
    case Fault::version_unsupported:
    case Fault::target_form:
    case Fault::target_asterisk:
    case Fault::target_octet:
    case Fault::target_fragment:
    case Fault::path_octet:
    case Fault::path_percent:
    case Fault::path_nul:
    case Fault::target_scheme:
    case Fault::target_https:
    case Fault::target_userinfo:
    case Fault::target_host:
    case Fault::target_host_differs:
    case Fault::line_end:
    case Fault::field_name:
    case Fault::field_value:
    case Fault::field_fold:
    case Fault::host_missing:
    case Fault::host_twice:
    case Fault::host_form:
    case Fault::content_type_twice:
    case Fault::authorization_twice:
    case Fault::expectation:
    case Fault::length_form:
    case Fault::length_twice:
    case Fault::length_and_coding:
    case Fault::coding_form:
    case Fault::coding_unknown:
    case Fault::coding_twice:
    case Fault::coding_http_1_0:
    case Fault::chunk_size:
    case Fault::chunk_extension:
    case Fault::chunk_line_end:
    case Fault::chunk_data_end:
    case Fault::chunk_line_limit:
    case Fault::chunk_extensions_limit:
    case Fault::trailer_form:
    case Fault::trailer_forbidden:
    case Fault::trailer_limit:
    case Fault::trailers_limit:
    case Fault::eof_in_head:
    case Fault::eof_in_body:
      return "";
  }
  return "";
}

namespace {

std::string number(std::uint64_t value) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return {digits.data(), end};
}

/// What was counted, in decimal units with one digit behind the point: "5.2 MB".
std::string counted(std::uint64_t bytes) {
  constexpr std::array kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return number(bytes) + " B";
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
  return text.data();
}

/// A limit as a person set it, in the unit that divides it: "1 MiB".
std::string set_to(std::uint64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes != 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return number(bytes) + ' ' + kUnits[unit];
}

std::string set_to(Duration time) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  if (milliseconds % 1000 == 0)
    return number(static_cast<std::uint64_t>(milliseconds / 1000)) + " s";
  return number(static_cast<std::uint64_t>(milliseconds)) + " ms";
}

std::string over(std::string_view what, std::string_view option, const std::string& limit) {
  return std::string(what) + " is over " + std::string(option) + ' ' + limit;
}

}  // namespace

std::string describe(const Rejected& rejected, const Limits& limits) {
  const std::string_view option = option_of(rejected.fault);
  const std::string named = std::string(reason(rejected.fault)) + " (" + std::string(option) + ' ';
  switch (rejected.fault) {
    case Fault::body_limit:
      return over("body of " + counted(rejected.size_bytes), option, set_to(limits.body_bytes_max));
    case Fault::request_line_limit:
      return over("request line", option, set_to(limits.request_line_bytes_max));
    case Fault::field_line_limit:
      return over("field line", option, set_to(limits.field_line_bytes_max));
    case Fault::head_limit:
      return over("request head", option, set_to(limits.head_bytes_max));
    case Fault::fields_limit:
      return over("number of field lines", option, number(limits.fields_max));
    case Fault::idle_timeout:
      return named + set_to(limits.keep_alive) + ')';
    case Fault::head_timeout:
    case Fault::body_timeout:
      return named + set_to(limits.receive_timeout) + ')';
    case Fault::body_rate:
      return named + set_to(limits.rate_bytes_min) + "/s)";
    default:
      return std::string(reason(rejected.fault));
  }
}

}  // namespace iotax::core
