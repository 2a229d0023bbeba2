// Which traceparent fields the logs name (W3C Trace Context, section 3.2).
#include "core/trace_context.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace iotax::core {
namespace {

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kSpan = "b7ad6b7169203331";
const std::string kValid = "00-" + kTrace + "-" + kSpan + "-01";

TEST(TraceContext, NamesThePartsOfAValidField) {
  const TraceIds ids = trace_ids(valid_trace_parent(kValid));
  EXPECT_EQ(ids.trace_id, kTrace);
  EXPECT_EQ(ids.span_id, kSpan);
  EXPECT_EQ(ids.flags, "01");
}

TEST(TraceContext, AcceptsLaterVersionsByTheirFirst55Characters) {
  EXPECT_EQ(valid_trace_parent("01" + kValid.substr(2)), "01" + kValid.substr(2));
  EXPECT_EQ(valid_trace_parent("cc" + kValid.substr(2) + "-what-comes"), "cc" + kValid.substr(2));
  EXPECT_EQ(valid_trace_parent("cc" + kValid.substr(2) + "-"), "cc" + kValid.substr(2));
  EXPECT_EQ(valid_trace_parent("cc" + kValid.substr(2) + ".what"), "") << "no dash after the flags";
  EXPECT_EQ(valid_trace_parent("ff" + kValid.substr(2)), "") << "the version that never comes";
}

TEST(TraceContext, RejectsEveryOtherForm) {
  for (const std::string& bad : {
           std::string{},
           std::string{"00"},
           kValid.substr(0, 54),                                 // one digit less
           kValid + "0",                                         // version 00 has no more
           kValid + "-00",                                       //
           "00-" + std::string(32, '0') + "-" + kSpan + "-01",   // no trace id
           "00-" + kTrace + "-" + std::string(16, '0') + "-01",  // no span id
           "00-" + kTrace + "_" + kSpan + "-01",                 //
           "0-" + kTrace + "-" + kSpan + "-012",                 //
           "0x-" + kTrace + "-" + kSpan + "-01",                 //
           "00-" + kTrace + "-" + kSpan + "-0G",                 //
           "00-0AF7651916CD43DD8448EB211C80319C-" + kSpan + "-01",
           "00-" + kTrace + "-B7AD6B7169203331-01",
           "00-" + kTrace + "-" + kSpan + "-0A",
           "00-" + kTrace.substr(1) + "\n-" + kSpan + "-01",
       }) {
    EXPECT_EQ(valid_trace_parent(bad), "") << bad;
  }
}

TEST(TraceContext, EveryFlagIsKept) {
  for (const std::string flags : {"00", "01", "02", "ff"}) {
    EXPECT_EQ(trace_ids(valid_trace_parent(kValid.substr(0, 53) + flags)).flags, flags);
  }
}

TEST(TraceContext, SeveralLinesCountAsNone) {
  const Field host{"Host", "a"};
  const Field one{"TraceParent", kValid};
  EXPECT_EQ(trace_parent_of(std::array{host, one}), kValid);
  EXPECT_EQ(trace_parent_of(std::array{one, host, one}), "");
  EXPECT_EQ(trace_parent_of(std::array{host}), "");
  EXPECT_EQ(trace_parent_of({}), "");
  EXPECT_EQ(trace_ids("").trace_id, "");
}

}  // namespace
}  // namespace iotax::core
