// Generates Mermaid from the tables; events that lead to the same state share an arrow.
#include "core/diagram.h"

#include <span>
#include <string_view>

#include "core/transitions.h"

namespace iotax::core {
namespace {

template <class Row, class Input>
std::string half(std::string_view title, std::string_view prefix, std::span<const Row> rows,
                 std::size_t states, Input input) {
  using State = decltype(Row::from);
  const auto name = [prefix](State state) {
    return std::string(prefix) + '_' + std::string(name_of(state));
  };
  std::string text = "  state \"" + std::string(title) + "\" as " + std::string(prefix) + " {\n";
  for (std::size_t i = 0; i < states; ++i) {
    const auto state = static_cast<State>(i);
    text += "    state \"" + std::string(name_of(state)) + "\" as " + name(state) + '\n';
  }
  text += "    [*] --> " + name(rows.front().from) + '\n';
  for (std::size_t from = 0; from < states; ++from) {
    for (std::size_t to = 0; to < states; ++to) {
      std::string inputs;
      for (const Row& row : rows) {
        if (row.from != static_cast<State>(from) || row.to != static_cast<State>(to)) continue;
        inputs += (inputs.empty() ? "" : ", ") + std::string(name_of(input(row)));
      }
      if (!inputs.empty())
        text += "    " + name(static_cast<State>(from)) + " --> " + name(static_cast<State>(to)) +
                " : " + inputs + '\n';
    }
  }
  return text + "  }\n";
}

}  // namespace

std::string state_diagram() {
  return "```mermaid\nstateDiagram-v2\n" +
         half<RequestRow>("the request", "request", std::span(kRequestRows), kRequestStates,
                          [](const RequestRow& row) { return row.event; }) +
         half<ResponseRow>("the response", "response", std::span(kResponseRows), kResponseStates,
                           [](const ResponseRow& row) { return row.event; }) +
         "```\n";
}

}  // namespace iotax::core
