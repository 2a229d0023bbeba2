#include "core/forwarded_field.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

namespace iotax::core {
namespace {

/// "for|proto|host" of each element, separated by spaces; "fault" for one.
std::string parsed(std::string_view line) {
  std::vector<ForwardedElement> elements;
  if (!parse_forwarded(line, elements)) return "fault";
  std::string text;
  for (const ForwardedElement& one : elements) {
    if (!text.empty()) text += ' ';
    text.append(one.for_).append("|").append(one.proto).append("|").append(one.host);
  }
  return text;
}

TEST(ForwardedField, HasElementsAndPairs) {
  EXPECT_EQ(parsed("for=192.0.2.43"), "192.0.2.43||");
  EXPECT_EQ(parsed("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60|http|");
  EXPECT_EQ(parsed("for=192.0.2.43, for=198.51.100.17"), "192.0.2.43|| 198.51.100.17||");
  EXPECT_EQ(parsed("for=a,for=b ,\tfor=c"), "a|| b|| c||");
  EXPECT_EQ(parsed("FOR=a;Proto=HTTPS;hOsT=b"), "a|HTTPS|b") << "names in any case";
  EXPECT_EQ(parsed("secret=x;for=_mdn"), "_mdn||");
  EXPECT_EQ(parsed("proto=https"), "|https|");
}

TEST(ForwardedField, HasQuotedValues) {
  EXPECT_EQ(parsed(R"(for="[2001:db8:cafe::17]:4711")"), "[2001:db8:cafe::17]:4711||");
  EXPECT_EQ(parsed(R"(host="a,b;c=d"; for=x)"), "fault") << "a blank after a semicolon";
  EXPECT_EQ(parsed(R"(host="a,b;c=d",for=x)"), "||a,b;c=d x||");
  EXPECT_EQ(parsed(R"(for="\"x")"), R"(\"x||)") << "kept as it is";
  EXPECT_EQ(parsed(R"(for="")"), "||");
}

TEST(ForwardedField, MayHaveEmptyParts) {
  EXPECT_EQ(parsed(""), "");
  EXPECT_EQ(parsed(" , ,"), "");
  EXPECT_EQ(parsed(",for=a,,for=b,"), "a|| b||");
  EXPECT_EQ(parsed(";for=a;;proto=b;"), "a|b|");
  EXPECT_EQ(parsed(";"), "||");
}

TEST(ForwardedField, KeepsItsGrammar) {
  for (const char* const line : {"for",
                                 "for=",
                                 "=a",
                                 "for =a",
                                 "for= a",
                                 "for=a b",
                                 "for=a; proto=b",
                                 "for=a ;proto=b",
                                 "for=a proto=b",
                                 "for=[::1]",
                                 "for=1.2.3.4:80",
                                 "for=\"a",
                                 "for=\"a\\\"",
                                 "for=\"a\"b",
                                 "for=a\"b\"",
                                 "for=a;for=b",
                                 "For=a;fOR=b",
                                 "x=1;X=2",
                                 "for=a/b",
                                 "for=a,b",
                                 "for=a=b",
                                 "192.0.2.1",
                                 "for:a",
                                 "for=\xC3\xA4",
                                 "\"for\"=a"}) {
    EXPECT_EQ(parsed(line), "fault") << line;
  }
}

TEST(PropertyForwardedField, LinesMeanTheSameTogetherAndApart) {
  const auto element =
      rc::gen::element<std::string>("for=192.0.2.1", "for=\"[::1]:4\";proto=https", "",
                                    "host=\"a,\\\"b\"", ";", "by=_x;for=unknown");
  const auto line = rc::gen::map(rc::gen::container<std::vector<std::string>>(element),
                                 [](const std::vector<std::string>& parts) {
                                   std::string text;
                                   for (const std::string& part : parts) text += part + " ,";
                                   return text;
                                 });
  EXPECT_TRUE(rc::check("joining lines joins their elements", [&] {
    const std::string one = *line;
    const std::string other = *line;
    const std::string apart =
        parsed(one) + (parsed(one).empty() || parsed(other).empty() ? "" : " ") + parsed(other);
    RC_ASSERT(parsed(one + ", " + other) == apart);
  }));
}

}  // namespace
}  // namespace iotax::core
