// The state diagram of transitions.h as text, so that the one in docs/internals cannot drift from
// the tables. Not used by the server.
#pragma once

#include <string>

namespace iotax::core {

/// Both half-machines as one fenced Mermaid diagram (stateDiagram-v2). Ends with a newline.
[[nodiscard]] std::string state_diagram();

}  // namespace iotax::core
