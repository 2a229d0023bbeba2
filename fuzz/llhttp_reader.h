// Responses as llhttp parses them, the parser of many clients and proxies.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runner/answers.h"

namespace iotax::fuzz {

/// Like conformance::read_answers(), but with interim responses among the others and without reason
/// phrases. `ended`: the server has closed cleanly, which completes a close-delimited body.
struct LlhttpAnswers {
  std::vector<conformance::Answer> all;
  std::string error;  // empty: well-formed as far as it goes
};
[[nodiscard]] LlhttpAnswers read_with_llhttp(std::string_view octets,
                                             const std::vector<std::string>& methods, bool ended);

}  // namespace iotax::fuzz
