// What fields mean for the message.
#include "core/field_rules.h"

#include <gtest/gtest.h>

namespace iotax::core {
namespace {

Fault add(FieldRules& rules, std::string_view name, std::string_view value,
          FieldRules::Keep expected = FieldRules::Keep::yes) {
  FieldRules::Keep keep{};
  const Fault fault = rules.add(name, value, 7, keep);
  EXPECT_EQ(keep, expected) << name;
  return fault;
}

TEST(FieldRules, RepeatedSingleFieldsAreRejected) {
  const std::pair<std::string_view, Fault> singles[]{{"HOST", Fault::host_twice},
                                                     {"Content-Type", Fault::content_type_twice},
                                                     {"authorization", Fault::authorization_twice},
                                                     {"Content-Length", Fault::length_twice}};
  for (const auto& [name, fault] : singles) {
    FieldRules rules;
    EXPECT_EQ(add(rules, name, "1"), Fault::none) << name;
    EXPECT_EQ(add(rules, name, "1"), fault) << name;
  }
  FieldRules rules;
  EXPECT_EQ(add(rules, "Transfer-Encoding", "chunked", FieldRules::Keep::silently_not),
            Fault::none);
  EXPECT_EQ(add(rules, "Transfer-Encoding", "chunked", FieldRules::Keep::silently_not),
            Fault::coding_twice);
}

TEST(FieldRules, LengthAndCodingExcludeEachOtherInBothOrders) {
  FieldRules length_first, coding_first;
  EXPECT_EQ(add(length_first, "Content-Length", "5"), Fault::none);
  EXPECT_EQ(add(length_first, "Transfer-Encoding", "chunked", FieldRules::Keep::silently_not),
            Fault::length_and_coding);
  EXPECT_EQ(add(coding_first, "Transfer-Encoding", "chunked", FieldRules::Keep::silently_not),
            Fault::none);
  EXPECT_EQ(add(coding_first, "Content-Length", "5"), Fault::length_and_coding);
}

TEST(FieldRules, LengthIsZeroOrDigitsWithoutALeadingZero) {
  for (const std::string_view bad :
       {"", "00", "05", "+5", "5,5", "5 5", "0x5", "18446744073709551616"}) {
    FieldRules rules;
    EXPECT_EQ(add(rules, "Content-Length", bad), Fault::length_form) << bad;
  }
  FieldRules rules;
  EXPECT_EQ(add(rules, "Content-Length", "18446744073709551615"), Fault::none);
  EXPECT_EQ(rules.length(), UINT64_MAX);
}

TEST(FieldRules, OnlyChunkedIsAccepted) {
  for (const std::string_view bad :
       {"", "chunked,", ", chunked", "gzip, chunked", "chunked;q=1", "\"chunked\""}) {
    FieldRules rules;
    EXPECT_EQ(add(rules, "Transfer-Encoding", bad, FieldRules::Keep::silently_not),
              Fault::coding_form)
        << bad;
  }
  for (const std::string_view unknown : {"gzip", "identity", "xchunked"}) {
    FieldRules rules;
    EXPECT_EQ(add(rules, "Transfer-Encoding", unknown, FieldRules::Keep::silently_not),
              Fault::coding_unknown)
        << unknown;
  }
}

TEST(FieldRules, FieldsWithUnderscoresProxyAndFramingFieldsAreDropped) {
  FieldRules rules;
  EXPECT_EQ(add(rules, "X_Y", "1", FieldRules::Keep::named_not), Fault::none);
  EXPECT_EQ(add(rules, "Content_Length", "1", FieldRules::Keep::named_not), Fault::none);
  EXPECT_EQ(add(rules, "pROXY", "1", FieldRules::Keep::named_not), Fault::none);
  EXPECT_EQ(add(rules, "Trailer", "X", FieldRules::Keep::silently_not), Fault::none);
  EXPECT_FALSE(rules.has_length());
}

TEST(FieldRules, CloseOverridesKeepAliveAndHttp10NeedsKeepAlive) {
  const auto persists = [](std::initializer_list<std::string_view> lines, Version version) {
    FieldRules rules;
    for (const std::string_view line : lines)
      EXPECT_EQ(add(rules, "Connection", line), Fault::none);
    return rules.persists(version);
  };
  EXPECT_TRUE(persists({}, Version::http_1_1));
  EXPECT_FALSE(persists({}, Version::http_1_0));
  EXPECT_TRUE(persists({"Keep-Alive"}, Version::http_1_0));
  EXPECT_FALSE(persists({"keep-alive, CLOSE"}, Version::http_1_0));
  EXPECT_FALSE(persists({"keep-alive", " , ,close,"}, Version::http_1_1));
  EXPECT_TRUE(persists({"closed, x-close, \"close\""}, Version::http_1_1));
}

TEST(FieldRules, TheFirstValidRequestIdIsUsed) {
  FieldRules rules;
  FieldRules::Keep keep{};
  EXPECT_EQ(rules.add("X-Request-ID", "has space", 0, keep), Fault::none);
  EXPECT_EQ(rules.add("X-Request-ID", std::string(129, 'a'), 1, keep), Fault::none);
  EXPECT_EQ(rules.add("X-Request-ID", "", 2, keep), Fault::none);
  EXPECT_EQ(rules.request_id_index(), FieldRules::kNone);
  EXPECT_EQ(rules.add("x-request-id", std::string(128, 'a'), 3, keep), Fault::none);
  EXPECT_EQ(rules.add("X-Request-ID", "b", 4, keep), Fault::none);
  EXPECT_EQ(rules.request_id_index(), 3U);
}

TEST(FieldRules, OnlyExpect100ContinueIsAccepted) {
  for (const std::string_view bad : {"", "magic", "100-continue, magic", "100-continuee", "100"}) {
    FieldRules rules;
    EXPECT_EQ(add(rules, "Expect", bad), Fault::none);
    EXPECT_TRUE(rules.unknown_expectation()) << bad;
  }
  FieldRules rules;
  EXPECT_EQ(add(rules, "EXPECT", "100-Continue"), Fault::none);
  EXPECT_TRUE(rules.expects_continue());
  EXPECT_FALSE(rules.unknown_expectation());
}

}  // namespace
}  // namespace iotax::core
