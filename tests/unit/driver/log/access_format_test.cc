// Which texts are formats of access lines, and what they need.
#include "driver/log/access_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace iotax::driver {
namespace {

using Compiled = std::variant<AccessFormat, FormatFault>;

AccessFormat good(std::string_view text) {
  Compiled made = AccessFormat::compile(text, false);
  if (const auto* fault = std::get_if<FormatFault>(&made)) {
    ADD_FAILURE() << text << " at " << fault->at << ": " << fault->text;
    return AccessFormat();
  }
  return std::get<AccessFormat>(std::move(made));
}

TEST(AccessFormat, KnowsEachAtom) {
  for (const std::string_view name : AccessFormat::atoms()) {
    const std::string text = "%(" + std::string(name) + ")s";
    EXPECT_EQ(good(text).parts().size(), 1U) << text;
  }
}

TEST(AccessFormat, AcceptsIntegersAsD) {
  for (const std::string_view name : AccessFormat::atoms()) {
    const std::string text = "%(" + std::string(name) + ")d";
    const bool whole =
        std::string_view(" s B T M D in worker ").find(" " + std::string(name) + " ") !=
        std::string::npos;
    EXPECT_EQ(std::holds_alternative<AccessFormat>(AccessFormat::compile(text, false)), whole)
        << text;
  }
}

TEST(AccessFormat, PercentSignIsDoubled) {
  const AccessFormat format = good("100%% %(s)s%%");
  ASSERT_EQ(format.parts().size(), 3U);
  EXPECT_EQ(format.parts()[0].text, "100% ");
  EXPECT_EQ(format.parts()[2].text, "%");
}

TEST(AccessFormat, SaysWhatIsWrongAndWhere) {
  struct Bad {
    std::string text;
    std::size_t at;
    std::string part;
  };
  for (const Bad& bad : {
           Bad{"", 0, "neither"},
           Bad{"common", 0, "neither"},
           Bad{"JSON", 0, "neither"},
           Bad{"100%%", 0, "neither"},
           Bad{"%(h)s %(hh)s", 6, "unknown atom %(hh)s"},
           Bad{"%()s", 0, "unknown atom %()s"},
           Bad{"%(h)s 100%", 9, "lone %"},
           Bad{"%(h)s %s", 6, "lone %"},
           Bad{"%(h)s %-10(h)s", 6, "lone %"},
           Bad{"%(h", 0, "%( without )"},
           Bad{"%(h)", 0, "without s"},
           Bad{"%(h)10s", 0, "widths"},
           Bad{"%(h)-s", 0, "widths"},
           Bad{"%(h)r", 0, "widths"},
           Bad{"%(B)5d", 0, "widths"},
           Bad{"%(h)d", 0, "not an integer"},
           Bad{"%(b)d", 0, "not an integer"},
           Bad{"%({a}i)d", 0, "not an integer"},
           Bad{"%({}i)s", 0, "names nothing"},
           Bad{"%({}e)s", 0, "names nothing"},
           Bad{"%({a b}i)s", 0, "not the name of a field"},
           Bad{"%({a:}o)s", 0, "not the name of a field"},
           Bad{"%({a}x)s", 0, "unknown atom %({a}x)s"},
           Bad{"%({a}ii)s", 0, "unknown"},
           Bad{"%({a)s", 0, "unknown"},
           Bad{"%({a}e )s", 0, "unknown"},
           Bad{"%(h)s\n", 5, "control character"},
           Bad{"\x7f%(h)s", 0, "control character"},
       }) {
    const Compiled made = AccessFormat::compile(bad.text, false);
    const auto* fault = std::get_if<FormatFault>(&made);
    ASSERT_NE(fault, nullptr) << bad.text;
    EXPECT_EQ(fault->at, bad.at) << bad.text;
    EXPECT_NE(fault->text.find(bad.part), std::string::npos) << bad.text << ": " << fault->text;
  }
}

TEST(AccessFormat, CollectsOnlyWhatItShows) {
  const AccessFormat plain;
  EXPECT_FALSE(plain.needs_time() || plain.needs_trace() || plain.needs_app());
  EXPECT_TRUE(plain.collected().empty());
  EXPECT_TRUE(AccessFormat(true).needs_time());
  EXPECT_TRUE(good("%(t)s").needs_time());
  EXPECT_TRUE(good("%(span_id)s").needs_trace());
  EXPECT_TRUE(good("%(app)s").needs_app());

  const AccessFormat format = good("%(u)s %({Content-Type}o)s %({user-agent}i)s %({my.Key}e)s");
  ASSERT_EQ(format.collected().size(), 3U);
  EXPECT_EQ(format.collected()[0].name, "REMOTE_USER");
  EXPECT_EQ(format.collected()[1].name, "content-type");
  EXPECT_EQ(format.collected()[2].name, "my.Key");
  EXPECT_EQ(format.collected()[1].from, Collected::From::response);
  EXPECT_TRUE(format.collects(Collected::From::response));
  EXPECT_TRUE(format.collects(Collected::From::environ));
  EXPECT_FALSE(good("%({Host}i)s").collects(Collected::From::environ));
}

TEST(AccessFormat, KnowsWhichValuesStandInQuotes) {
  const AccessFormat format = good(R"(%(u)s "%(u)s" "x%(u)s"%(u)s)");
  std::string quoted;
  for (const Part& part : format.parts()) {
    if (part.shown == Shown::collected) quoted += part.quoted ? 'q' : 'u';
  }
  EXPECT_EQ(quoted, "uqqu");
}

}  // namespace
}  // namespace iotax::driver
