// Reads a server's responses from the wire, more strictly than a client would: everything that
// is not well-formed is reported. It must not share code with the server it judges.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotax::conformance {

struct Answer {
  int status = 0;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case
  std::string content;
  bool complete = false;  // false: the bytes ended before the response did

  [[nodiscard]] bool interim() const noexcept { return status < 200; }
  /// The value of the first field `name`; null when there is none.
  [[nodiscard]] const std::string* field(std::string_view name) const noexcept;
};

struct Answers {
  std::vector<Answer> finals;
  std::vector<int> interims;
  std::string error;         // what is not well-formed; empty when all of it is
  std::string final_octets;  // the bytes without interim responses
};

/// `methods`: of the requests in order, since a response to HEAD has no body (RFC 9112 §6.3).
/// `closed`: the server has closed, so that content delimited by the end is complete.
[[nodiscard]] Answers read_answers(std::string_view octets, const std::vector<std::string>& methods,
                                   bool closed);

}  // namespace iotax::conformance
