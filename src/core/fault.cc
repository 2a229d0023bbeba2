// Texts of the faults. Which client broke the rule, and when, is not known here.
#include "core/fault.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>

#include "core/events.h"
#include "core/limits.h"

namespace iotax::core {
namespace {

struct Words {
  Fault fault;
  int status;
  std::string_view option;
  std::string_view reason;
};

/// In the order of the enum.
constexpr std::array kWords{
    Words{Fault::none, 0, "", "no fault"},
    // before a request
    Words{Fault::idle_timeout, 0, "--keep-alive", "no request within the keep-alive time"},
    Words{Fault::eof_between, 0, "", "connection ended by the client between requests"},
    Words{Fault::leading_line_end, 400, "", "more than one empty line before the request line"},
    Words{Fault::tls_handshake, 400, "", "TLS handshake on a plain HTTP port: use http://"},
    Words{Fault::http2_preface, 505, "",
          "HTTP/2 preface on an HTTP/1.1 port: let the client or proxy speak HTTP/1.1"},
    Words{Fault::proxy_header, 400, "", "PROXY protocol header on a listener without proxy://"},
    // request-line
    Words{Fault::method_form, 400, "", "method: not a token followed by one space"},
    Words{Fault::method_unknown, 501, "", "method: unknown (methods are case-sensitive)"},
    Words{Fault::method_refused, 405, "", "method: CONNECT and TRACE are not served"},
    Words{Fault::request_line_form, 400, "",
          "request line: not method, target and version with single spaces between them"},
    Words{Fault::request_line_limit, 414, "--limit-request-line", "request line is too long"},
    Words{Fault::version_missing, 400, "", "request line: no HTTP version"},
    Words{Fault::version_form, 400, "", "version: not \"HTTP/\", a digit, \".\" and a digit"},
    Words{Fault::version_unsupported, 505, "", "version: only HTTP/1.0 and HTTP/1.1 are served"},
    Words{Fault::target_form, 400, "",
          "target: neither a path that starts with \"/\" nor an http:// URL"},
    Words{Fault::target_asterisk, 400, "", "target: \"*\" is for OPTIONS only, and stands alone"},
    Words{Fault::target_octet, 400, "", "target: a byte that must be percent-encoded"},
    Words{Fault::target_fragment, 400, "", "target: \"#\" is not sent to a server"},
    Words{Fault::path_octet, 400, "", "path: a byte that must be percent-encoded"},
    Words{Fault::path_percent, 400, "", "path: \"%\" is not followed by two hex digits"},
    Words{Fault::path_nul, 400, "", "path: \"%00\" is not allowed"},
    Words{Fault::target_scheme, 400, "", "target: the scheme of the URL is not http"},
    Words{Fault::target_https, 421, "", "target: https:// on a plain HTTP port"},
    Words{Fault::target_userinfo, 400, "", "target: user information in the URL"},
    Words{Fault::target_host, 400, "", "target: the URL's host is not host[:port]"},
    Words{Fault::target_host_differs, 400, "", "target: the URL's host and the Host field differ"},
    // fields
    Words{Fault::line_end, 400, "", "line does not end in CR LF"},
    Words{Fault::field_name, 400, "", "field name: not a token directly followed by \":\""},
    Words{Fault::field_value, 400, "", "field value: control character"},
    Words{Fault::field_fold, 400, "", "field line starts with white space (obsolete line folding)"},
    Words{Fault::field_line_limit, 431, "--limit-field", "field line is too long"},
    Words{Fault::fields_limit, 431, "--limit-fields", "too many field lines"},
    Words{Fault::head_limit, 431, "--limit-head", "request line and fields are too long"},
    Words{Fault::host_missing, 400, "", "Host: missing in an HTTP/1.1 request"},
    Words{Fault::host_twice, 400, "", "Host: more than one"},
    Words{Fault::host_form, 400, "", "Host: not host[:port]"},
    Words{Fault::content_type_twice, 400, "", "Content-Type: more than one"},
    Words{Fault::authorization_twice, 400, "", "Authorization: more than one"},
    Words{Fault::expectation, 417, "", "Expect: only 100-continue is known"},
    // framing
    Words{Fault::length_form, 400, "", "Content-Length: not 0 or digits without a leading zero"},
    Words{Fault::length_twice, 400, "", "Content-Length: more than one"},
    Words{Fault::length_and_coding, 400, "", "Transfer-Encoding and Content-Length in one request"},
    Words{Fault::coding_form, 400, "", "Transfer-Encoding: not exactly \"chunked\""},
    Words{Fault::coding_unknown, 501, "", "Transfer-Encoding: only chunked is known"},
    Words{Fault::coding_twice, 501, "", "Transfer-Encoding: more than one"},
    Words{Fault::coding_http_1_0, 400, "", "Transfer-Encoding in an HTTP/1.0 request"},
    Words{Fault::body_limit, 413, "--limit-body", "body is too large"},
    Words{Fault::body_storage, 413, "--spool-max", "body is larger than can be stored"},
    // chunked body
    Words{Fault::chunk_size, 400, "", "chunk size: not 1 to 16 hex digits"},
    Words{Fault::chunk_extension, 400, "",
          "chunk extension: not ;name, ;name=token or ;name=\"text\""},
    Words{Fault::chunk_line_end, 400, "", "chunk line does not end in CR LF"},
    Words{Fault::chunk_data_end, 400, "", "chunk data is not followed by CR LF"},
    Words{Fault::chunk_line_limit, 400, "", "chunk line is too long"},
    Words{Fault::chunk_extensions_limit, 400, "", "chunk extensions are too long together"},
    Words{Fault::trailer_form, 400, "", "trailer: not a field line"},
    Words{Fault::trailer_forbidden, 400, "",
          "trailer: Host, Content-Length and Transfer-Encoding do not belong there"},
    Words{Fault::trailer_limit, 431, "", "trailers are too long"},
    Words{Fault::trailers_limit, 431, "", "too many trailers"},
    // ends and deadlines inside a message
    Words{Fault::eof_in_head, 400, "", "connection ended inside the request head"},
    Words{Fault::eof_in_body, 400, "", "connection ended inside the body"},
    Words{Fault::head_timeout, 408, "--receive-timeout", "request head was not complete in time"},
    Words{Fault::body_timeout, 408, "--receive-timeout", "body: no data for too long"},
    Words{Fault::body_rate, 408, "--min-rate", "body: arrived too slowly"},
    Words{Fault::streaming_rate, 408, "--no-request-buffering",
          "body: arrived too slowly for a call that reads it"},
};

constexpr bool in_order() {
  int number = 0;
  for (const Words& words : kWords) {
    if (static_cast<int>(words.fault) != number++) return false;
  }
  return number == kFaults;
}
static_assert(in_order(), "a fault without its row does not compile");

constexpr const Words& words_of(Fault fault) noexcept {
  return kWords[static_cast<std::size_t>(fault)];
}

}  // namespace

int status_of(Fault fault) noexcept { return words_of(fault).status; }
std::string_view reason(Fault fault) noexcept { return words_of(fault).reason; }
std::string_view option_of(Fault fault) noexcept { return words_of(fault).option; }

namespace {

std::string number(std::uint64_t value) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return {digits.data(), end};
}

/// A counted size, in decimal units with one decimal place: "5.2 MB".
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

/// A limit as it was configured, in the largest unit that divides it: "1 MiB".
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
    case Fault::body_storage:
      return "body of " + counted(rejected.size_bytes) + " is larger than can be stored (" +
             std::string(option) + ')';
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
    case Fault::streaming_rate:
      return named + set_to(limits.streaming_rate_bytes_min) + "/s)";
    default:
      return std::string(reason(rejected.fault));
  }
}

}  // namespace iotax::core
