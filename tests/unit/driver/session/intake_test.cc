#include "driver/session/intake.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>
#include <string_view>

#include "support/bytes.h"
#include "support/loop_parts.h"
#include "support/words_in.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::BodyError;
using driver::Progress;
using support::bytes_of;
using support::has;
using support::kGet;
using support::LoopParts;

/// A session, whose input the test passes to the machine.
struct OneSession : LoopParts {
  explicit OneSession(driver::Config settings = {}) : LoopParts(std::move(settings)) {
    std::tie(client, s) = connect();
  }
  /// Receive `bytes`, which live as long as the session. Returns what advance() returned.
  Progress receive(std::string_view bytes) {
    s->link.machine.receive(bytes_of(bytes));
    return intake.advance(*s, sys.now());
  }
  /// Send the output of the machine. Returns all that the client has received.
  std::string response() {
    sender.send_output(lead, *s, sys.now());
    return client.received();
  }
  /// The text of the only server line.
  [[nodiscard]] std::string line() const {
    EXPECT_EQ(log.server_lines.size(), 1U);
    return log.server_lines.empty() ? "" : log.server_lines[0];
  }

  support::ScriptedClient client;
  Session* s = nullptr;
};

constexpr std::string_view kPostHead =
    "POST /path?q HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n";

// ---- advance()

TEST(Intake, ARequestIsReadyWhenItsHeadAndBodyAreComplete) {
  OneSession one;
  EXPECT_EQ(one.receive(kPostHead), Progress::waiting);
  EXPECT_EQ(one.receive("abc"), Progress::waiting);
  one.sys.advance(1s);
  EXPECT_EQ(one.receive("def"), Progress::ready);
  EXPECT_EQ(one.s->stream.line.view(), "POST /path");
  EXPECT_EQ(one.s->stream.ready_at, one.sys.now());
  EXPECT_EQ(one.s->stream.request_bytes, 6U);
  EXPECT_TRUE(one.s->stream.body_ended);
  ASSERT_NE(one.s->stream.body, nullptr);
  EXPECT_EQ(one.s->stream.body->size(), 6U);
}

TEST(Intake, WithoutBufferingARequestIsReadyAfterItsHead) {
  driver::Config config;
  config.request_buffering = false;
  OneSession one(config);
  EXPECT_EQ(one.receive(kPostHead), Progress::ready);
  EXPECT_TRUE(one.s->stream.streaming);
  EXPECT_FALSE(one.s->stream.body_ended);
}

TEST(Intake, WithoutBufferingAChunkedBodyIsCompleteBeforeTheCall) {
  driver::Config config;
  config.request_buffering = false;
  OneSession one(config);
  EXPECT_EQ(one.receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Progress::waiting);
  EXPECT_EQ(one.receive("3\r\nabc\r\n0\r\n\r\n"), Progress::ready);
  EXPECT_FALSE(one.s->stream.streaming);
}

TEST(Intake, EachRequestHasAnIdOfItsOwn) {
  driver::Config config;
  config.limits.keep_alive_requests = 0;
  OneSession one(config);
  std::set<std::string> ids;
  for (int n = 0; n < 300; ++n) {
    ASSERT_EQ(one.receive(kGet), Progress::ready);
    ids.emplace(one.s->stream.id.view());
    support::write_response(*one.s);
    (void)one.response();
  }
  EXPECT_EQ(ids.size(), 300U);
}

TEST(Intake, OnlyATrustedPeerGivesTheRequestItsId) {
  static constexpr std::string_view kWithId =
      "GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: theirs\r\n\r\n";
  for (const bool trusted : {false, true}) {
    OneSession one;
    one.app.trusted = trusted;
    EXPECT_EQ(one.receive(kWithId), Progress::ready);
    EXPECT_EQ(one.s->stream.id.view() == "theirs", trusted);
  }
}

TEST(Intake, TheNextRequestStartsWithoutTheBodyAndTheClientOfTheLastOne) {
  OneSession one;
  one.app.trusted = true;
  ASSERT_EQ(one.receive("POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n"
                        "Content-Length: 2\r\n\r\nab"),
            Progress::ready);
  EXPECT_EQ(one.s->stream.client, "1.2.3.4");
  one.s->stream.body_taken = 2;
  one.s->stream.body_error = BodyError::malformed;
  support::write_response(*one.s);
  (void)one.response();
  ASSERT_EQ(one.receive(kGet), Progress::ready);
  EXPECT_EQ(one.s->stream.client, "");
  EXPECT_EQ(one.s->stream.body, nullptr);
  EXPECT_EQ(one.s->stream.body_taken, 0U);
  EXPECT_EQ(one.s->stream.body_error, BodyError::none);
}

TEST(Intake, OptionsOfTheServerIsRespondedToWithoutTheApplication) {
  OneSession one;
  EXPECT_EQ(one.receive("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), Progress::responded);
  EXPECT_TRUE(one.response().starts_with("HTTP/1.1 204"));
  EXPECT_EQ(one.log.access_lines.size(), 1U);
}

driver::Config with_health_path() {
  driver::Config config;
  config.health_path = "/health";
  config.limits.keep_alive_requests = 0;
  return config;
}

TEST(Intake, GetAndHeadOfTheHealthPathAreRespondedToWithoutTheApplication) {
  OneSession one(with_health_path());
  for (const std::string_view request :
       {"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", "GET /health?x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/health HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"}) {
    EXPECT_EQ(one.receive(request), Progress::responded) << request;
    const std::string response = one.response();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n")) << response;
    EXPECT_TRUE(response.ends_with("\r\n\r\nready\n")) << response;
  }
  EXPECT_EQ(one.receive("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n"), Progress::responded);
  EXPECT_TRUE(one.response().ends_with("Content-Length: 6\r\n\r\n"));
  EXPECT_TRUE(one.log.access_lines.empty());
  EXPECT_TRUE(one.log.server_lines.empty());
}

TEST(Intake, TheApplicationGetsOtherMethodsAndSpellingsOfTheHealthPath) {
  for (const std::string_view request :
       {"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /%68ealth HTTP/1.1\r\nHost: a\r\n\r\n", "GET /health/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /Health HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    OneSession one(with_health_path());
    EXPECT_EQ(one.receive(request), Progress::ready) << request;
  }
}

TEST(Intake, TheHealthPathSaysThatTheServerStops) {
  OneSession one(with_health_path());
  one.intake.server_stops();
  EXPECT_EQ(one.receive("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"), Progress::responded);
  const std::string response = one.response();
  EXPECT_TRUE(response.starts_with("HTTP/1.1 503 ")) << response;
  EXPECT_TRUE(has(response, "\r\nConnection: close\r\n")) << response;
  EXPECT_TRUE(response.ends_with("\r\n\r\nnot ready: stopping\n")) << response;
}

TEST(Intake, WithoutBufferingTheApplicationDoesNotGetTheHealthPathEither) {
  driver::Config config = with_health_path();
  config.request_buffering = false;
  OneSession one(config);
  EXPECT_EQ(one.receive("GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"),
            Progress::waiting);
  EXPECT_EQ(one.receive("ab"), Progress::responded);
}

TEST(Intake, RequestsToTheHealthPathAreLoggedIfWantedAndCountedApart) {
  driver::Config config = with_health_path();
  config.health_log = true;
  config.counts = true;
  OneSession one(config);
  driver::ThreadCounters counters{};
  {
    const driver::Counting counting(&counters);
    EXPECT_EQ(one.receive("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"), Progress::responded);
    EXPECT_EQ(driver::counters_of_thread, &counters);
  }
  EXPECT_EQ(one.log.access_lines.size(), 1U);
  driver::CounterWords words{};
  counters.add_to(words);
  EXPECT_EQ(words[driver::CounterIndex::kHealthRequests], 1U);
  EXPECT_EQ(driver::ended_in(words), 0U);
  EXPECT_EQ(driver::finished_in(words), 1U);
  EXPECT_EQ(std::count(words.begin(), words.end(), 0U), std::ssize(words) - 1);
}

TEST(Intake, AMalformedRequestIsRejectedAndLogged) {
  OneSession one;
  EXPECT_EQ(one.receive("GET /path HTTP/1.1\r\n\r\n"), Progress::responded);
  EXPECT_TRUE(one.response().starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(has(one.line(), "127.0.0.1"));
  EXPECT_TRUE(has(one.line(), "400"));
  ASSERT_EQ(one.log.access_lines.size(), 1U);
  EXPECT_TRUE(has(one.log.access_lines[0], "/path"));
}

TEST(Intake, AMalformedBodyReleasesWhatWasStored) {
  OneSession one;
  EXPECT_EQ(one.receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\nnonsense"),
            Progress::responded);
  EXPECT_TRUE(one.response().starts_with("HTTP/1.1 400"));
  EXPECT_EQ(one.s->stream.body, nullptr);
}

TEST(Intake, ABodyLargerThanEverythingThatCanBeStoredIsTooLarge) {
  driver::Config config;
  config.body_memory_bytes = 2;
  config.spool_bytes_max = 2;
  config.spool_dir = "/tmp";
  OneSession one(config);
  EXPECT_EQ(one.receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nabcde\r\n"),
            Progress::responded);
  EXPECT_TRUE(one.response().starts_with("HTTP/1.1 413"));
}

TEST(Intake, ABodyWithoutRoomGets503AndTheWarningSaysWhy) {
  struct Case {
    const char* call;
    int error;
    const char* named;
  };
  for (const Case& one_case :
       {Case{"pwrite", ENOSPC, "--spool-max"}, Case{"open_temporary", EMFILE, "ulimit -n"}}) {
    driver::Config config;
    config.body_memory_bytes = 2;
    config.spool_dir = "/tmp";
    OneSession one(config);
    one.sys.fail_always(one_case.call, one_case.error);
    EXPECT_EQ(one.receive(std::string(kPostHead) + "abcdef"), Progress::responded);
    EXPECT_TRUE(one.response().starts_with("HTTP/1.1 503"));
    EXPECT_TRUE(has(one.client.received(), "Retry-After: 1"));
    EXPECT_TRUE(has(one.line(), one_case.named)) << one.line();
    EXPECT_EQ(one.s->stream.body, nullptr);
  }
}

// ---- a body that is read while it arrives

struct Streaming : OneSession {
  Streaming() : OneSession(unbuffered()) { EXPECT_EQ(receive(kPostHead), Progress::ready); }
  static driver::Config unbuffered() {
    driver::Config config;
    config.request_buffering = false;
    config.body_memory_bytes = 2;
    config.spool_dir = "/tmp";
    return config;
  }
  bool take(std::string_view bytes) {
    s->link.machine.receive(bytes_of(bytes));
    return intake.take_content(*s);
  }
};

TEST(Intake, TakesTheContentAsItArrives) {
  Streaming one;
  EXPECT_FALSE(one.take(""));
  EXPECT_TRUE(one.take("abc"));
  EXPECT_EQ(one.s->stream.body->size(), 3U);
  EXPECT_TRUE(one.take("def"));
  EXPECT_TRUE(one.intake.take_content(*one.s));
  EXPECT_TRUE(one.s->stream.body_ended);
  EXPECT_EQ(one.s->stream.body_error, BodyError::none);
}

TEST(Intake, ContentThatCannotBeStoredIsAnErrorOfTheRequest) {
  Streaming one;
  one.sys.fail_always("open_temporary", EMFILE);
  EXPECT_TRUE(one.take("abcdef"));
  EXPECT_EQ(one.s->stream.body_error, BodyError::storage);
}

TEST(Intake, AClientThatEndsInItsBodyHasDisconnected) {
  Streaming one;
  one.s->link.half_closed.store(true);
  one.s->link.machine.receive_eof();
  EXPECT_TRUE(one.intake.take_content(*one.s));
  EXPECT_EQ(one.s->stream.body_error, BodyError::disconnected);
}

TEST(Intake, AClientThatStallsInItsBodyTimesOut) {
  Streaming one;
  one.s->link.pause_clock(false, one.sys.now());
  one.sys.advance(one.config.limits.receive_timeout + 1s);
  one.s->link.machine.on_time(one.sys.now());
  EXPECT_TRUE(one.intake.take_content(*one.s));
  EXPECT_EQ(one.s->stream.body_error, BodyError::timed_out);
  EXPECT_TRUE(one.response().starts_with("HTTP/1.1 408"));
}

// ---- the server's own responses

TEST(Intake, RespondsForTheApplicationAndNamesTheOption) {
  OneSession one;
  ASSERT_EQ(one.receive(kGet), Progress::ready);
  one.intake.respond(*one.s, 503, {driver::End::overloaded, "queue_full"}, "Try again.",
                     "--option");
  const std::string response = one.response();
  EXPECT_TRUE(response.starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(has(response, "Retry-After: 1"));
  EXPECT_TRUE(has(response, "Connection: close"));
  EXPECT_TRUE(has(response, "Try again."));
  EXPECT_FALSE(has(response, "--option"));
  EXPECT_TRUE(has(one.line(), "Try again. (--option)"));
  EXPECT_EQ(one.log.access_lines.size(), 1U);
}

TEST(Intake, RespondsBesideTheMachineForACallThatStillRuns) {
  OneSession one;
  ASSERT_EQ(one.receive(kGet), Progress::ready);
  const std::string response(
      one.intake.response_beside(*one.s, 504, "Too late.", "no response").text());
  EXPECT_TRUE(response.starts_with("HTTP/1.1 504"));
  EXPECT_TRUE(has(response, "Too late."));
  EXPECT_TRUE(one.s->link.machine.output().empty());
  EXPECT_EQ(one.s->stream.end, driver::End::deadline);
  EXPECT_TRUE(has(one.line(), "no response"));
  EXPECT_EQ(one.log.access_lines.size(), 1U);
}

TEST(Intake, AnInterruptedHeadIsLoggedAsFarAsItArrived) {
  OneSession one;
  EXPECT_EQ(one.receive("GET /interrupted HTTP/1.1\r\nHo"), Progress::waiting);
  one.s->link.disconnected.store(true);
  one.intake.log_without_response(*one.s);
  ASSERT_EQ(one.log.access_lines.size(), 1U);
  EXPECT_TRUE(has(one.log.access_lines[0], "/interrupted"));
  EXPECT_TRUE(has(one.log.access_lines[0], "499"));
}

TEST(Intake, AConnectionWithoutARequestIsNotLoggedWhenItEnds) {
  OneSession one;
  one.intake.log_without_response(*one.s);
  EXPECT_TRUE(one.log.access_lines.empty());
}

TEST(Intake, ADroppedFieldIsLoggedOncePerName) {
  OneSession one;
  static constexpr std::string_view kDropped = "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n";
  for (int n = 0; n < 2; ++n) {
    ASSERT_EQ(one.receive(kDropped), Progress::ready);
    support::write_response(*one.s);
    (void)one.response();
  }
  EXPECT_TRUE(has(one.line(), "X_Y"));
}

TEST(Intake, TheDateIsThatOfTheWallClock) {
  OneSession one;
  one.sys.set_unix_time(784111777s);
  driver::DateCache cache;
  EXPECT_EQ(one.intake.date(cache), "Sun, 06 Nov 1994 08:49:37 GMT");
}

}  // namespace
}  // namespace iotax
