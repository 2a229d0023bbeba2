#include "driver/session/exchange.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/bytes.h"
#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::BodyError;
using driver::BodyRead;
using driver::Sent;
using driver::Withdrawn;
using support::bytes_of;
using support::LoopParts;

/// A host that sends without waiting and counts.
struct Host {
  explicit Host(LoopParts& loop_parts) : parts(loop_parts) {}

  BodyRead read_body(unsigned thread, LoopParts::Session& s, std::span<std::byte> into) {
    EXPECT_EQ(thread, 3U);
    if (!s.stream.body || s.stream.body_taken == s.stream.body->size()) return {};
    return driver::read_stored(s, into);
  }
  Sent deliver(unsigned thread, LoopParts::Session& s) {
    EXPECT_EQ(thread, 3U);
    ++deliveries;
    parts.sender.send_output(parts.lead, s, parts.sys.now());
    return s.link.disconnected.load() ? Sent::gone : Sent::ok;
  }
  void log_access(LoopParts::Session& s) {
    parts.intake.access_log().log_in_call(s, parts.sys.now());
  }
  driver::Intake<LoopParts::E>& intake() { return parts.intake; }
  const driver::Config& config() const { return parts.config; }
  core::Instant now() { return parts.sys.now(); }
  bool stopping() const { return is_stopping; }

  LoopParts& parts;
  int deliveries = 0;
  bool is_stopping = false;
};

constexpr std::string_view kPost = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef";

driver::Config with_deadlines() {
  driver::Config config;
  config.request_timeout = 3s;
  return config;
}

/// A request whose call has begun.
struct Calling : LoopParts {
  explicit Calling(driver::Config settings = {}, std::string_view bytes = support::kGet)
      : LoopParts(std::move(settings)) {
    std::tie(client, s) = connect();
    client.send(bytes);
    turn();
    if (ready.empty() || ready.pop() != s) std::abort();
    exchange.begin(*s, sys.now());
  }
  ~Calling() { s->stream.owner.store(driver::Owner::loop); }
  /// Respond 200; `length`: what the application announces.
  void respond(std::optional<std::uint64_t> length) {
    core::ResponseHead head;
    head.status = "200 OK";
    head.content_bytes = length;
    exchange.respond(head);
  }
  /// Send what the exchange has written.
  std::string response() {
    requests.completed(lead, *s);
    requests.flush(lead);
    return client.received();
  }
  /// Take the session away, as when the call is overdue.
  std::optional<driver::SessionExchange<E, Host>::Taken> take() {
    return exchange.take(exchange.claim().word());
  }

  support::ScriptedClient client;
  Session* s = nullptr;
  Host host{*this};
  driver::SessionExchange<E, Host> exchange{host, 3};
};

// ---- the request

TEST(SessionExchange, ShowsTheRequest) {
  Calling call({}, kPost);
  EXPECT_EQ(call.exchange.head().method, "POST");
  EXPECT_EQ(call.exchange.peer().remote_addr, "127.0.0.1");
  EXPECT_EQ(call.exchange.request_id(), call.s->stream.id.view());
  EXPECT_EQ(call.exchange.body_bytes(), 6U);
  EXPECT_TRUE(call.exchange.body_is_stored());
  ASSERT_TRUE(call.exchange.body_in_memory());
  EXPECT_EQ(call.exchange.body_in_memory()->size(), 6U);
  EXPECT_EQ(call.exchange.stored_body_fd(), -1);
}

TEST(SessionExchange, ARequestWithoutABodyHasAnEmptyOne) {
  Calling call;
  EXPECT_EQ(call.exchange.body_bytes(), 0U);
  ASSERT_TRUE(call.exchange.body_in_memory());
  EXPECT_TRUE(call.exchange.body_in_memory()->empty());
}

TEST(SessionExchange, ABodyThatIsReadWhileItArrivesHasItsAnnouncedSize) {
  driver::Config config;
  config.request_buffering = false;
  Calling call(config, kPost.substr(0, kPost.size() - 3));
  EXPECT_EQ(call.exchange.body_bytes(), 6U);
  EXPECT_FALSE(call.exchange.body_is_stored());
  EXPECT_FALSE(call.exchange.body_in_memory());
}

TEST(SessionExchange, ABodyInATemporaryFileHasADescriptor) {
  driver::Config config;
  config.body_memory_bytes = 2;
  config.spool_dir = "/tmp";
  Calling call(config, kPost);
  EXPECT_FALSE(call.exchange.body_in_memory());
  EXPECT_TRUE(call.sys.is_open(call.exchange.stored_body_fd()));
}

TEST(SessionExchange, ReadsTheBodyFromAnyOffset) {
  Calling call({}, kPost);
  std::array<std::byte, 4> into;
  EXPECT_EQ(call.exchange.read_body(into).bytes, 4U);
  call.exchange.seek_body(1);
  EXPECT_EQ(call.exchange.read_body(into).bytes, 4U);
  EXPECT_EQ(into[0], std::byte{'b'});
}

// ---- the response

TEST(SessionExchange, SendsAResponseWithDateAndServer) {
  Calling call;
  call.respond(2);
  EXPECT_EQ(call.exchange.body(bytes_of("ok")), Sent::complete);
  EXPECT_EQ(call.exchange.finish(), Sent::ok);
  EXPECT_TRUE(call.exchange.ended());
  EXPECT_TRUE(call.exchange.end());
  const std::string response = call.response();
  EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_NE(response.find("Date: Mon, 23 Nov 2026 10:02:20 GMT\r\n"), std::string::npos);
  EXPECT_NE(response.find("Server: iotax\r\n"), std::string::npos);
  EXPECT_TRUE(response.ends_with("\r\n\r\nok"));
  ASSERT_EQ(call.log.access_lines.size(), 1U);
  EXPECT_NE(call.log.access_lines[0].find(" 200 "), std::string::npos);
}

TEST(SessionExchange, TheApplicationsDateAndServerAreKept) {
  Calling call;
  core::ResponseHead head;
  head.status = "200 OK";
  head.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  head.server = "theirs";
  head.content_bytes = 0;
  call.exchange.respond(head);
  (void)call.exchange.finish();
  const std::string response = call.response();
  EXPECT_NE(response.find("Date: Sun, 06 Nov 1994"), std::string::npos);
  EXPECT_NE(response.find("Server: theirs"), std::string::npos);
}

TEST(SessionExchange, TheRequestIdIsInTheFieldThatIsConfigured) {
  driver::Config config;
  config.request_id_header = "X-Request-ID";
  Calling call(config);
  call.respond(0);
  (void)call.exchange.finish();
  const std::string id(call.s->stream.id.view());
  EXPECT_NE(call.response().find("X-Request-ID: " + id + "\r\n"), std::string::npos);
}

TEST(SessionExchange, WhileTheWorkerStopsAResponseClosesItsConnection) {
  Calling call;
  call.host.is_stopping = true;
  call.respond(0);
  (void)call.exchange.finish();
  EXPECT_NE(call.response().find("Connection: close"), std::string::npos);
}

TEST(SessionExchange, DeliversALargeBlockAtOnceAndASmallOneLater) {
  Calling call;
  const std::string block(core::kCopyBytesMax + 1, 'x');
  call.respond(block.size() + 2);
  EXPECT_EQ(call.exchange.body(bytes_of("ab")), Sent::ok);
  EXPECT_EQ(call.host.deliveries, 0);
  EXPECT_EQ(call.exchange.body(bytes_of(block)), Sent::complete);
  EXPECT_EQ(call.host.deliveries, 1);
  EXPECT_TRUE(call.client.received().ends_with(block));
  (void)call.exchange.finish();
}

TEST(SessionExchange, ReportsABlockThatExceedsTheAnnouncedLength) {
  Calling call;
  call.respond(2);
  EXPECT_EQ(call.exchange.body(bytes_of("okay")), Sent::over_length);
  (void)call.exchange.finish();
  EXPECT_TRUE(call.response().ends_with("\r\n\r\nok"));
}

TEST(SessionExchange, AResponseShorterThanAnnouncedIsAnErrorOfTheApplication) {
  Calling call;
  call.respond(4);
  EXPECT_EQ(call.exchange.body(bytes_of("ok")), Sent::ok);
  EXPECT_EQ(call.exchange.finish(), Sent::short_length);
  EXPECT_EQ(call.s->stream.end, driver::End::app_error);
}

TEST(SessionExchange, SendsAPartOfAFile) {
  Calling call;
  call.respond(4);
  const int file = call.sys.open_file("0123456789");
  EXPECT_EQ(call.exchange.body_file(driver::UniqueFd(file), 2, 4), Sent::complete);
  (void)call.exchange.finish();
  EXPECT_TRUE(call.response().ends_with("\r\n\r\n2345"));
}

TEST(SessionExchange, AnInterimResponseIsSentAtOnce) {
  Calling call;
  core::ResponseFields fields;
  EXPECT_EQ(fields.add({"Link", "</a.css>"}), core::HeadFault::none);
  call.exchange.inform(103, fields);
  EXPECT_TRUE(call.client.received().starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a.css>"));
  call.respond(0);
  (void)call.exchange.finish();
}

TEST(SessionExchange, AnApplicationThatFailsBeforeItsHeadGetsTheServersResponse) {
  Calling call;
  call.exchange.failed_with("ValueError");
  call.exchange.fail(500, "The application failed.");
  EXPECT_TRUE(call.exchange.ended());
  const std::string response = call.response();
  EXPECT_TRUE(response.starts_with("HTTP/1.1 500 "));
  EXPECT_NE(response.find("The application failed."), std::string::npos);
  EXPECT_EQ(call.s->stream.error.view(), "ValueError");
  EXPECT_EQ(call.log.access_lines.size(), 1U);
}

TEST(SessionExchange, ARequestThatWasRejectedDuringTheCallGetsNoSecondResponse) {
  Calling call;
  call.s->stream.status = 400;
  call.exchange.fail(500, "The application failed.");
  EXPECT_TRUE(call.exchange.ended());
  EXPECT_TRUE(call.s->link.machine.output().empty());
}

TEST(SessionExchange, AnApplicationThatFailsAfterItsHeadCutsTheResponseOff) {
  Calling call;
  call.respond(std::nullopt);
  (void)call.exchange.body(bytes_of("part"));
  call.exchange.abort();
  EXPECT_TRUE(call.exchange.ended());
  EXPECT_EQ(call.s->stream.end, driver::End::app_error);
  const std::string response = call.response();
  EXPECT_NE(response.find("part"), std::string::npos);
  EXPECT_FALSE(response.ends_with("0\r\n\r\n"));
}

TEST(SessionExchange, ReportsThatTheClientHasDisconnected) {
  Calling call;
  EXPECT_FALSE(call.exchange.gone());
  call.respond(4);
  call.s->link.disconnected.store(true);
  EXPECT_TRUE(call.exchange.gone());
  EXPECT_EQ(call.exchange.body(bytes_of("ok")), Sent::gone);
  EXPECT_EQ(call.exchange.body_file(driver::UniqueFd(), 0, 2), Sent::gone);
  EXPECT_EQ(call.exchange.deliver(), Sent::gone);
  (void)call.exchange.finish();
}

TEST(SessionExchange, ALineThatWasHeldForTheEndOfTheCallIsLoggedThen) {
  driver::Config config;
  config.access_format =
      std::get<driver::AccessFormat>(driver::AccessFormat::compile("%(app)s", false));
  Calling call(config);
  call.respond(0);
  (void)call.exchange.finish();
  EXPECT_TRUE(call.log.access_lines.empty());
  call.sys.advance(2s);  // close()
  EXPECT_TRUE(call.exchange.end());
  ASSERT_EQ(call.log.access_lines.size(), 1U);
  EXPECT_EQ(call.log.access_lines[0].substr(0, 2), "2.");
}

driver::Config only_counts() {
  driver::Config config;
  config.access_log = false;
  config.counts = config.statsd = true;
  return config;
}

TEST(SessionExchange, ARequestWithoutALineIsCountedWhenItsResponseIsDelivered) {
  Calling call(only_counts());
  call.respond(0);
  (void)call.exchange.finish();
  EXPECT_TRUE(call.log.requests.empty());
  call.sys.advance(1s);
  (void)call.exchange.deliver();
  call.sys.advance(2s);  // close()
  EXPECT_TRUE(call.exchange.end());
  ASSERT_EQ(call.log.requests.size(), 1U);
  EXPECT_EQ(call.log.requests[0], (std::pair<int, core::Duration>{200, 1s}));
}

TEST(SessionExchange, ARequestWithoutALineIsCountedAtTheEndOfTheCall) {
  for (const bool fails : {true, false}) {
    for (const bool time_is_known : {true, false}) {
      Calling call(only_counts());
      call.respond(fails ? 5 : 0);
      (void)call.exchange.finish();
      call.sys.advance(2s);
      EXPECT_TRUE(call.exchange.end(time_is_known ? call.sys.now() - 1s : core::kNever));
      ASSERT_EQ(call.log.requests.size(), 1U);
      EXPECT_EQ(call.log.requests[0].first, 200);
      EXPECT_EQ(call.log.requests[0].second, time_is_known ? 1s : 2s);
    }
  }
}

TEST(SessionExchange, ARequestIsCountedByMethodAndEndAfterItsHeadHasEnded) {
  const auto counters = std::make_unique<driver::ThreadCounters>();
  const driver::Counting here(counters.get());
  Calling call(only_counts(), kPost);
  call.respond(0);
  (void)call.exchange.finish();
  EXPECT_TRUE(call.exchange.end());
  driver::CounterWords words{};
  counters->add_to(words);
  using driver::CounterIndex;
  EXPECT_EQ(words[CounterIndex::request(0, driver::counted_method("POST"), 0)], 1U);
  EXPECT_EQ(words[CounterIndex::kEnded], 1U);
}

// ---- a session that is taken away

TEST(SessionExchange, SaysWhatHadBeenSentWhenTheSessionWasTaken) {
  for (const Withdrawn when :
       {Withdrawn::before_head, Withdrawn::after_head, Withdrawn::complete}) {
    Calling call(with_deadlines());
    if (when != Withdrawn::before_head) call.respond(0);
    if (when == Withdrawn::complete) (void)call.exchange.finish();
    const auto taken = call.take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->session, call.s);
    EXPECT_EQ(taken->when, when);
    EXPECT_FALSE(call.exchange.end());
  }
}

TEST(SessionExchange, CannotBeTakenAfterTheCallHasMovedOn) {
  Calling call(with_deadlines());
  const driver::ClaimWord seen = call.exchange.claim().word();
  call.respond(0);
  EXPECT_FALSE(call.exchange.take(seen));
  EXPECT_TRUE(call.exchange.end());
}

TEST(SessionExchange, AfterTheSessionWasTakenTheCallHasNoEffect) {
  Calling call(with_deadlines(), kPost);
  ASSERT_TRUE(call.take());
  std::array<std::byte, 4> into;
  EXPECT_EQ(call.exchange.read_body(into).error, BodyError::disconnected);
  call.exchange.seek_body(3);
  EXPECT_EQ(call.s->stream.body_taken, 0U);
  EXPECT_EQ(call.exchange.stored_body_fd(), -1);
  call.exchange.inform(103, core::ResponseFields());
  call.respond(2);
  EXPECT_EQ(call.exchange.body(bytes_of("ok")), Sent::gone);
  EXPECT_EQ(call.exchange.deliver(), Sent::gone);
  call.exchange.failed_with("ValueError");
  call.exchange.fail(500, "The application failed.");
  call.exchange.abort();
  EXPECT_EQ(call.exchange.finish(), Sent::gone);
  EXPECT_FALSE(call.exchange.end());
  EXPECT_EQ(call.host.deliveries, 0);
  EXPECT_TRUE(call.s->link.machine.output().empty());
  EXPECT_EQ(call.s->stream.status, 0);
  EXPECT_EQ(call.s->stream.error.view(), "");
  EXPECT_TRUE(call.log.access_lines.empty());
}

TEST(SessionExchange, TheTimeOfTheApplicationRunsFromTheLastCallOfTheExchange) {
  Calling call(with_deadlines());
  call.sys.advance(2s);
  call.respond(0);
  EXPECT_EQ(call.exchange.claim().since(), call.sys.now());
  EXPECT_TRUE(call.exchange.end());
}

TEST(SessionExchange, WithoutDeadlinesTheSessionCannotBeTaken) {
  Calling call;
  EXPECT_FALSE(call.take());
  EXPECT_TRUE(call.exchange.end());
}

}  // namespace
}  // namespace iotax
