// docs/internals/protocol-machine.md contains the diagram generated from the tables. If this test
// fails, copy the printed text between the two markers.
#include "core/diagram.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "core/transitions.h"

namespace iotax::core {
namespace {

TEST(Diagram, DocumentationShowsTheTables) {
  constexpr std::string_view kMarker = "<!-- state diagram -->\n";
  const std::string page = IOTAX_SOURCE_DIR "/docs/internals/protocol-machine.md";
  std::ifstream file(page);
  ASSERT_TRUE(file) << page;
  std::ostringstream whole;
  whole << file.rdbuf();
  const std::string text = whole.str();
  const std::size_t begin = text.find(kMarker);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t from = begin + kMarker.size();
  const std::size_t end = text.find(kMarker, from);
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(text.substr(from, end - from), state_diagram()) << state_diagram();
}

TEST(Diagram, HasAnArrowForEveryPairOfStatesInTheTables) {
  const std::string text = state_diagram();
  for (const RequestRow& row : kRequestRows)
    EXPECT_NE(text.find("request_" + std::string(name_of(row.from)) + " --> request_" +
                        std::string(name_of(row.to)) + " : "),
              std::string::npos);
  for (const ResponseRow& row : kResponseRows)
    EXPECT_NE(text.find("response_" + std::string(name_of(row.from)) + " --> response_" +
                        std::string(name_of(row.to)) + " : "),
              std::string::npos);
}

}  // namespace
}  // namespace iotax::core
