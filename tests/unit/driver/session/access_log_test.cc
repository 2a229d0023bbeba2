#include "driver/session/access_log.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::AccessFormat;
using driver::Cut;
using driver::End;
using driver::Line;
using support::LoopParts;

driver::Config with_format(std::string_view text) {
  driver::Config config;
  config.access_format = std::get<AccessFormat>(AccessFormat::compile(text, false));
  return config;
}

/// Everything that the log knows of a request, in one line.
constexpr std::string_view kAll =
    "%(m)s %(U)s %(q)s %(H)s %(s)s %(B)s %(in)s end=%(end)s queue=%(queue)s app=%(app)s";

/// A request that is ready.
struct LoggedRequest : LoopParts {
  explicit LoggedRequest(driver::Config settings,
                         std::string_view bytes = "GET /path?q HTTP/1.1\r\nHost: a\r\n\r\n")
      : LoopParts(std::move(settings)) {
    std::tie(client, s) = connect();
    client.send(bytes);
    turn();
    if (ready.empty() || ready.pop() != s) std::abort();
  }
  ~LoggedRequest() {
    s->stream.log_line = Line::none;
    s->stream.owner.store(driver::Owner::loop);
  }
  driver::AccessLog<E>& access() { return intake.access_log(); }
  void called() { s->stream.called_at = sys.now(); }
  [[nodiscard]] const std::vector<std::string>& lines() const { return log.access_lines; }
  /// The only line.
  [[nodiscard]] std::string line() const {
    EXPECT_EQ(lines().size(), 1U);
    return lines().empty() ? "" : lines()[0];
  }

  support::ScriptedClient client;
  Session* s = nullptr;
};

TEST(AccessLog, LogsARequestOnce) {
  LoggedRequest one(with_format(kAll));
  one.s->stream.status = 200;
  one.s->stream.response_bytes = 7;
  one.access().log(*one.s, one.sys.now());
  one.access().log(*one.s, one.sys.now());
  one.access().log_interrupted(*one.s, one.sys.now());
  EXPECT_EQ(one.line(), "GET /path q HTTP/1.1 200 7 0 end=complete queue=- app=-");
}

TEST(AccessLog, MeasuresTheQueueAndTheCall) {
  LoggedRequest one(with_format("%(queue)s %(app)s"));
  one.sys.advance(2s);
  one.called();
  one.sys.advance(3s);
  one.access().log(*one.s, one.sys.now());
  EXPECT_EQ(one.line(), "2.000000 3.000000");
}

TEST(AccessLog, WritesNothingIfItIsOff) {
  driver::Config config;
  config.access_log = false;
  LoggedRequest one(config);
  one.access().log(*one.s, one.sys.now());
  one.access().log_lent(*one.s, one.sys.now());
  one.access().log_unaccepted(*one.s, {}, one.sys.now(), false);
  EXPECT_TRUE(one.lines().empty());
}

TEST(AccessLog, CountsARequestOnceForStatsdWithAndWithoutALine) {
  for (const bool line : {true, false}) {
    driver::Config config = with_format("%(s)s %(app)s");
    config.access_log = line;
    config.statsd = true;
    LoggedRequest one(config);
    one.s->stream.status = 404;
    one.called();
    one.access().log_in_call(*one.s, one.sys.now());
    one.access().log(*one.s, one.sys.now());
    EXPECT_EQ(one.lines().size(), line ? 1U : 0U);
    ASSERT_EQ(one.log.requests.size(), 1U) << line;
    EXPECT_EQ(one.log.requests[0].first, 404);
  }
}

TEST(AccessLog, CountsInterruptedAndUnacceptedRequestsForStatsd) {
  for (const bool line : {true, false}) {
    driver::Config config;
    config.access_log = line;
    config.statsd = true;
    LoggedRequest one(config);
    one.s->stream.status = 200;
    one.sys.advance(2s);
    one.s->link.cut.store(Cut::by_client);
    one.access().log_interrupted(*one.s, one.sys.now());
    one.s->stream.status = 400;
    one.access().log_unaccepted(*one.s, {}, one.sys.now(), false);
    ASSERT_EQ(one.log.requests.size(), 2U);
    EXPECT_EQ(one.log.requests[0], (std::pair<int, core::Duration>{499, 2s}));
    EXPECT_EQ(one.log.requests[1].first, 400);
    one.access().abandon_in_child();
    one.access().log_unaccepted(*one.s, {}, one.sys.now(), false);
    EXPECT_EQ(one.log.requests.size(), 2U);
  }
}

TEST(AccessLog, CountsNothingForStatsdIfItIsOff) {
  LoggedRequest one(with_format("%(s)s"));
  one.access().log(*one.s, one.sys.now());
  EXPECT_EQ(one.lines().size(), 1U);
  EXPECT_TRUE(one.log.requests.empty());
}

TEST(AccessLog, HoldsTheLineForTheDurationOfTheCallOnlyIfItsFormatShowsThat) {
  for (const bool shows : {true, false}) {
    LoggedRequest one(with_format(shows ? "%(m)s %(app)s" : "%(m)s %(s)s"));
    one.called();
    one.access().log_in_call(*one.s, one.sys.now());
    EXPECT_EQ(one.lines().size(), shows ? 0U : 1U);
    one.sys.advance(3s);
    one.access().log(*one.s, one.sys.now());
    EXPECT_EQ(one.line(), shows ? "GET 3.000000" : "GET -");
  }
}

TEST(AccessLog, SaysHowAnInterruptedRequestEnded) {
  struct Case {
    Cut cut;
    const char* line;
  };
  for (const Case& one_case :
       {Case{Cut::by_client, "499 client_gone"}, Case{Cut::for_slowness, "499 client_slow"},
        Case{Cut::by_shutdown, "200 shutdown"}}) {
    LoggedRequest one(with_format("%(s)s %(end)s"));
    one.s->stream.status = 200;
    one.s->link.cut.store(one_case.cut);
    one.s->link.disconnected.store(true);
    one.access().log_interrupted(*one.s, one.sys.now());
    EXPECT_EQ(one.line(), one_case.line);
  }
}

TEST(AccessLog, LogsWhatIsKnownOfARequestThatWasNotAccepted) {
  LoggedRequest one(with_format("%(m)s %(U)s %(q)s %(end)s"));
  one.s->stream.end = End::rejected;
  one.access().log_unaccepted(*one.s, {"BREW", "/pot?of=tea", {}}, one.sys.now(), false);
  EXPECT_EQ(one.line(), "BREW /pot of=tea rejected");
}

TEST(AccessLog, LogsARequestWhoseThreadStillRunsAtTheExit) {
  LoggedRequest one(with_format("%(m)s %(U)s %(end)s"));
  one.access().log_lent(*one.s, one.sys.now());
  one.access().log_lent(*one.s, one.sys.now());
  EXPECT_EQ(one.line(), "GET /path shutdown");
}

TEST(AccessLog, AtTheExitALineThatIsHeldIsWritten) {
  LoggedRequest one(with_format("%(s)s %(app)s"));
  one.s->stream.status = 200;
  one.called();
  one.access().log_in_call(*one.s, one.sys.now());
  one.sys.advance(1s);
  one.access().log_lent(*one.s, one.sys.now());
  EXPECT_EQ(one.line(), "200 1.000000");
}

TEST(AccessLog, CollectsTheFieldsOfTheResponseThatItsFormatShows) {
  LoggedRequest one(with_format("\"%({X-User}o)s\" %({X-Other}o)s"));
  core::ResponseFields fields;
  for (const core::Field& field :
       {core::Field{"x-user", "ada"}, core::Field{"X-Unused", "1"}, core::Field{"X-User", "bob"}}) {
    ASSERT_EQ(fields.add(field), core::HeadFault::none);
  }
  one.access().responded(*one.s, &fields);
  one.access().log(*one.s, one.sys.now());
  EXPECT_EQ(one.line(), "\"ada, bob\" -");
}

TEST(AccessLog, CollectsValuesOfEnviron) {
  LoggedRequest one(with_format("%({REMOTE_USER}e)s"));
  one.access().collect(*one.s, 0, "ada");
  one.access().collect(*one.s, 1, "a second value, which no atom shows");
  one.access().log(*one.s, one.sys.now());
  EXPECT_EQ(one.line(), "ada");
}

TEST(AccessLog, TheNextRequestDoesNotShowTheValuesOfTheLastOne) {
  LoggedRequest one(with_format("%(s)s %(B)s %(in)s %({REMOTE_USER}e)s %(end)s"));
  one.access().collect(*one.s, 0, "ada");
  one.s->stream.status = 500;
  one.s->stream.response_bytes = one.s->stream.request_bytes = 7;
  one.s->stream.end = End::app_error;
  one.access().begin(*one.s, {});
  one.access().log(*one.s, one.sys.now());
  EXPECT_EQ(one.line(), "- 0 0 - complete");
}

TEST(AccessLog, NamesTheTraceOnlyIfALogShowsIt) {
  static constexpr std::string_view kTrace =
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::string request =
      "GET / HTTP/1.1\r\nHost: a\r\nTraceparent: " + std::string(kTrace) + "\r\n\r\n";
  driver::Config server_log = with_format("%(m)s");
  server_log.log_traces = true;
  const LoggedRequest in_neither(with_format("%(m)s"), request);
  const LoggedRequest in_access(with_format("%(trace_id)s"), request);
  const LoggedRequest in_server(server_log, request);
  EXPECT_EQ(in_neither.s->stream.trace.view(), "");
  EXPECT_EQ(in_access.s->stream.trace.view(), kTrace);
  EXPECT_EQ(in_server.s->stream.trace.view(), kTrace);
}

}  // namespace
}  // namespace iotax
