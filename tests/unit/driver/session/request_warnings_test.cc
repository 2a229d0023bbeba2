#include "driver/session/request_warnings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "support/loop_parts.h"
#include "support/words_in.h"

namespace iotax {
namespace {

using support::has;
using support::LoopParts;

/// A request that is ready.
struct Warned : LoopParts {
  Warned() {
    std::tie(client, s) = connect();
    client.send("POST /path?q HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    turn();
    if (ready.empty() || ready.pop() != s) std::abort();
  }
  ~Warned() { s->stream.owner.store(driver::Owner::loop); }
  [[nodiscard]] const std::vector<std::string>& lines() const { return log.server_lines; }

  support::ScriptedClient client;
  Session* s = nullptr;
  driver::RequestWarnings<E> warnings{sys, log};
};

TEST(RequestWarnings, NameTheRequestAndEscapeWhatTheClientSent) {
  Warned one;
  one.warnings.warn(*one.s, 400, "a rule", "bad\r\nINFO forged");
  ASSERT_EQ(one.lines().size(), 1U);
  const std::string& line = one.lines()[0];
  EXPECT_TRUE(has(line, "400 a rule"));
  EXPECT_TRUE(has(line, "in POST /path ("));
  EXPECT_TRUE(has(line, std::string(one.s->stream.id.view())));
  EXPECT_FALSE(has(line, "\n"));
}

TEST(RequestWarnings, DoNotNameTheRequestTwice) {
  Warned one;
  one.warnings.warn(*one.s, 0, "a rule", "POST /path?q");
  ASSERT_EQ(one.lines().size(), 1U);
  EXPECT_TRUE(has(one.lines()[0], " - a rule: \"POST /path?q\" ("));
}

TEST(RequestWarnings, AfterTenInASecondTheRestIsCounted) {
  Warned one;
  EXPECT_EQ(one.warnings.due(), core::kNever);
  for (int n = 0; n < 25; ++n) one.warnings.warn(*one.s, 400, "a rule", {});
  EXPECT_EQ(one.lines().size(), 10U);
  const core::Instant due = one.warnings.due();
  ASSERT_NE(due, core::kNever);
  one.warnings.settle(due);
  ASSERT_EQ(one.lines().size(), 11U);
  EXPECT_TRUE(has(one.lines()[10], "15"));
  EXPECT_EQ(one.warnings.due(), core::kNever);
}

TEST(RequestWarnings, ADroppedFieldIsLoggedOncePerNameForALimitedNumberOfNames) {
  Warned one;
  for (int n = 0; n < 100; ++n) {
    for (int repeated = 0; repeated < 2; ++repeated) {
      one.warnings.warn_of_dropped(*one.s, "X_" + std::to_string(n));
    }
  }
  EXPECT_EQ(one.lines().size(), 64U);
  EXPECT_TRUE(has(one.lines()[0], "field \"X_0\" is dropped"));
}

}  // namespace
}  // namespace iotax
