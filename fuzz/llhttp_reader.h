// Answers as llhttp reads them: the parser of many clients and proxies, from its response side.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runner/answers.h"

namespace iotax::fuzz {

/// Like conformance::read_answers(), with interim answers among the others and without reasons.
/// `ended`: the server has closed cleanly, which completes content that is delimited by the end.
struct LlhttpAnswers {
  std::vector<conformance::Answer> all;
  std::string error;  // empty: all of it is well-formed, as far as it goes
};
[[nodiscard]] LlhttpAnswers read_with_llhttp(std::string_view octets,
                                             const std::vector<std::string>& methods, bool ended);

}  // namespace iotax::fuzz
