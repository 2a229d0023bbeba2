// Client faults: one enum, and for each fault its status, its rule in words, and the option that
// changes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace iotax::core {

struct Limits;
struct Rejected;

/// One entry per rule that can be broken (http1-policy). Every entry has a status_of(), a reason()
/// and a case.
enum class Fault : std::uint8_t {
  none,
  // before a request
  idle_timeout,      // no next request within the keep-alive time
  eof_between,       // the client has ended its side between requests
  leading_line_end,  // rule 2
  tls_handshake,
  http2_preface,
  proxy_header,
  // request-line
  method_form,        // rule 5
  method_unknown,     // rule 5
  method_refused,     // rule 6
  request_line_form,  // rule 3
  request_line_limit,
  version_missing,      // rule 4
  version_form,         // rule 4
  version_unsupported,  // rule 4
  target_form,          // rule 13
  target_asterisk,      // rule 13
  target_octet,         // rule 7
  target_fragment,      // rule 10
  path_octet,           // rule 7
  path_percent,         // rule 7
  path_nul,             // rule 7
  target_scheme,        // rule 12
  target_https,         // rule 12
  target_userinfo,      // rule 12
  target_host,          // rule 12
  target_host_differs,  // rule 12
  // fields
  line_end,     // rule 1
  field_name,   // rule 14
  field_value,  // rule 16
  field_fold,   // rule 17
  field_line_limit,
  fields_limit,
  head_limit,
  host_missing,         // rule 20
  host_twice,           // rule 19
  host_form,            // rule 20
  content_type_twice,   // rule 19
  authorization_twice,  // rule 19
  expectation,          // rule 35
  // framing
  length_form,        // rule 21
  length_twice,       // rule 19
  length_and_coding,  // rule 23
  coding_form,        // rule 22
  coding_unknown,     // rule 22
  coding_twice,       // rule 19
  coding_http_1_0,    // rule 24
  body_limit,         // rules 21 and 26
  body_storage,       // larger than the server can ever store
  // chunked body
  chunk_size,       // rule 26
  chunk_extension,  // rule 27
  chunk_line_end,   // rule 1
  chunk_data_end,   // rule 28
  chunk_line_limit,
  chunk_extensions_limit,
  trailer_form,       // rule 29
  trailer_forbidden,  // rule 29
  trailer_limit,
  trailers_limit,
  // ends and deadlines inside a message
  eof_in_head,  // rule 39
  eof_in_body,  // rule 39
  head_timeout,
  body_timeout,
  body_rate,
  streaming_rate,  // of a body that the application reads while it arrives
};

/// Number of faults, for tests that iterate over all of them.
inline constexpr int kFaults = static_cast<int>(Fault::streaming_rate) + 1;

/// Status of the response; 0: close without a response.
[[nodiscard]] int status_of(Fault fault) noexcept;
/// The rule in words for logs and for the response, e.g. `path: "%" is not followed by two hex
/// digits`.
[[nodiscard]] std::string_view reason(Fault fault) noexcept;
/// The option that changes the limit, e.g. "--limit-body"; empty when there is none.
[[nodiscard]] std::string_view option_of(Fault fault) noexcept;
/// reason() with the numbers and the option filled in: `body of 5.2 MB is over --limit-body 1 MiB`.
[[nodiscard]] std::string describe(const Rejected& rejected, const Limits& limits);

}  // namespace iotax::core
