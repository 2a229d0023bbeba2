#include "driver/loop/request_queue.h"

#include <gtest/gtest.h>

#include <string>

#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Withdrawn;
using support::kGet;
using support::LoopParts;

/// A session whose request is ready.
struct OneRequest : LoopParts {
  explicit OneRequest(driver::Config settings = {}, std::string_view bytes = kGet)
      : LoopParts(std::move(settings)) {
    std::tie(client, s) = connect();
    client.send(bytes);
    turn();
    if (ready.empty() || ready.pop() != s) std::abort();
  }
  [[nodiscard]] std::string status() const { return client.received().substr(9, 3); }

  support::ScriptedClient client;
  Session* s = nullptr;
};

TEST(RequestQueue, AdmitsARequestThatDidNotWait) {
  OneRequest one;
  EXPECT_TRUE(one.requests.admit(*one.s, one.base.clock.now()));
}

TEST(RequestQueue, RejectsARequestThatWaitedLongerThanTheQueueTimeout) {
  driver::Config config;
  config.queue_timeout = 5s;
  OneRequest one(config);
  EXPECT_FALSE(one.requests.admit(*one.s, one.base.clock.now() + 6s));
  one.requests.completed(one.lead, *one.s);
  one.requests.flush(one.lead);
  EXPECT_EQ(one.status(), "503");
  EXPECT_EQ(one.log.access_lines.size(), 1U);
}

TEST(RequestQueue, WithoutAQueueTimeoutARequestMayWaitForever) {
  driver::Config config;
  config.queue_timeout = 0s;
  OneRequest one(config);
  EXPECT_TRUE(one.requests.admit(*one.s, one.base.clock.now() + 1h));
}

TEST(RequestQueue, DropsARequestWhoseClientHasDisconnected) {
  OneRequest one;
  one.client.reset();
  one.turn();
  EXPECT_FALSE(one.requests.admit(*one.s, one.base.clock.now()));
  one.requests.completed(one.lead, *one.s);
  one.requests.flush(one.lead);
  EXPECT_EQ(one.client.received(), "");
  EXPECT_EQ(one.log.access_lines.size(), 1U);
  EXPECT_TRUE(one.table.empty());
}

TEST(RequestQueue, DropsARequestWhoseClientClosedWhileItWaitedForASecond) {
  OneRequest one;
  one.client.half_close();
  one.turn();
  EXPECT_TRUE(one.requests.admit(*one.s, one.base.clock.now() + 500ms));
  EXPECT_FALSE(one.requests.admit(*one.s, one.base.clock.now() + 1100ms));
}

TEST(RequestQueue, RejectsWith503AndNamesTheOption) {
  using Reject = void (*)(OneRequest&);
  const std::pair<Reject, const char*> ways[] = {
      {[](OneRequest& one) { one.requests.reject_queue_full(one.lead, *one.s); }, "--max-queued"},
      {[](OneRequest& one) { one.requests.reject_unstarted(one.lead, *one.s); },
       "--request-timeout"},
      {[](OneRequest& one) { one.requests.reject_no_thread(one.lead, *one.s); },
       "--request-timeout"}};
  for (const auto& [reject, option] : ways) {
    OneRequest one;
    reject(one);
    one.requests.flush(one.lead);
    EXPECT_EQ(one.status(), "503");
    EXPECT_NE(one.client.received().find("Retry-After"), std::string::npos);
    ASSERT_EQ(one.log.server_lines.size(), 1U);
    EXPECT_NE(one.log.server_lines[0].find(option), std::string::npos);
  }
}

TEST(RequestQueue, SendsTheResponsesOfATurnInFlush) {
  OneRequest one;
  one.respond(*one.s, "ok");
  EXPECT_EQ(one.client.received(), "");
  one.requests.flush(one.lead);
  EXPECT_EQ(one.status(), "200");
  EXPECT_TRUE(driver::SessionTable<LoopParts::E>::is_idle(*one.s));
}

TEST(RequestQueue, ResponsesToPipelinedRequestsAreSentTogether) {
  OneRequest one({}, std::string(kGet) + std::string(kGet));
  support::write_response(*one.s);
  one.requests.advance_pipelined(one.lead, *one.s);
  ASSERT_EQ(one.ready.size(), 1U);
  EXPECT_EQ(one.ready.pop(), one.s);
  support::write_response(*one.s);
  one.requests.advance_pipelined(one.lead, *one.s);
  EXPECT_TRUE(one.ready.empty());
  one.sys.reset_calls();
  one.requests.flush(one.lead);
  EXPECT_EQ(one.sys.calls("send") + one.sys.calls("send_gathered"), 1U);
  EXPECT_NE(one.client.received().rfind("HTTP/1.1 200"), 0U);
}

TEST(RequestQueue, EarlierResponsesAreSentWhileTheNextRequestRuns) {
  OneRequest one({}, std::string(kGet) + std::string(kGet));
  support::write_response(*one.s);
  one.requests.advance_pipelined(one.lead, *one.s);
  one.requests.flush(one.lead);
  EXPECT_EQ(one.status(), "200");
  EXPECT_NE(one.s->stream.owner.load(), driver::Owner::loop);
}

TEST(RequestQueue, AnExpiredSessionWithoutAResponseGets504) {
  OneRequest one;
  one.requests.take_away(one.lead, *one.s, Withdrawn::before_head, 3s);
  EXPECT_EQ(one.status(), "504");
  EXPECT_TRUE(one.client.ended());
  ASSERT_EQ(one.log.server_lines.size(), 1U);
  EXPECT_NE(one.log.server_lines[0].find("3000 ms (--request-timeout)"), std::string::npos);
}

TEST(RequestQueue, AnExpiredSessionIsKeptUntilItsThreadReturns) {
  OneRequest one;
  one.requests.take_away(one.lead, *one.s, Withdrawn::before_head, 3s);
  one.client.half_close();
  one.turn();
  EXPECT_FALSE(one.s->link.wire.is_open());  // under a sanitizer: it is still there
  one.requests.thread_returned(one.lead, *one.s);
}

TEST(RequestQueue, AThreadMayReturnBeforeItsSessionCloses) {
  OneRequest one;
  one.requests.take_away(one.lead, *one.s, Withdrawn::before_head, 3s);
  one.requests.thread_returned(one.lead, *one.s);
  one.client.half_close();
  one.turn();
  EXPECT_TRUE(one.table.empty());
}

TEST(RequestQueue, AnExpiredSessionContinuesAfterACompleteResponse) {
  OneRequest one;
  support::write_response(*one.s);
  one.requests.take_away(one.lead, *one.s, Withdrawn::complete, 3s);
  EXPECT_EQ(one.status(), "200");
  EXPECT_TRUE(driver::SessionTable<LoopParts::E>::is_idle(*one.s));
}

TEST(RequestQueue, AReturnedSessionClosesWhenTheLoopClosesIdleOnes) {
  OneRequest one;
  one.base.mode.closing_idle = true;
  support::write_response(*one.s);
  one.requests.return_session(one.lead, *one.s);
  EXPECT_TRUE(one.client.closed_by_server());
}

}  // namespace
}  // namespace iotax
