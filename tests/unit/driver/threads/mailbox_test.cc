#include "driver/threads/mailbox.h"

#include <gtest/gtest.h>

#include <array>

#include "support/session_response.h"
#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using support::ScriptedClient;
using support::ThreadParts;

bool is_rung(ThreadParts& parts) {
  std::array<std::byte, 8> bytes;
  const driver::Result<std::size_t> got = parts.sys.read(parts.wakeup.read, bytes);
  return got && *got != 0;
}

TEST(Mailbox, MailEndsTheLeadersWait) {
  ThreadParts parts;
  const ScriptedClient client = parts.request();
  ThreadParts::Session& s = *parts.loop.ready().pop();
  EXPECT_TRUE(parts.mailbox.begin_wait());
  parts.mailbox.post_returned(s);
  EXPECT_TRUE(is_rung(parts));
  parts.mailbox.end_wait();
}

TEST(Mailbox, PostingToABusyLeaderMakesNoSystemCall) {
  ThreadParts parts;
  const ScriptedClient client = parts.request();
  ThreadParts::Session& s = *parts.loop.ready().pop();
  parts.mailbox.post_returned(s);
  EXPECT_FALSE(is_rung(parts));
  EXPECT_TRUE(parts.mailbox.any());
  EXPECT_FALSE(parts.mailbox.begin_wait());  // so the leader does not wait
  parts.mailbox.end_wait();
}

TEST(Mailbox, AReturnedSessionIsSentAndServedAgain) {
  ThreadParts parts;
  const ScriptedClient client = parts.request();
  ThreadParts::Session& s = *parts.loop.ready().pop();
  support::write_response(s);
  parts.mailbox.post_returned(s);
  const auto delivered = parts.mailbox.deliver(parts.lead);
  EXPECT_FALSE(delivered.expired);
  EXPECT_FALSE(parts.mailbox.any());
  EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 200");
  EXPECT_EQ(s.stream.owner.load(), driver::Owner::loop);
}

TEST(Mailbox, AnExpiredCallGetsAResponseAndIsReported) {
  ThreadParts parts;
  const ScriptedClient client = parts.request();
  ThreadParts::Session& s = *parts.loop.ready().pop();
  parts.mailbox.post_expired(s, driver::Withdrawn::before_head, 3s);
  EXPECT_TRUE(is_rung(parts));
  EXPECT_TRUE(parts.mailbox.deliver(parts.lead).expired);
  EXPECT_EQ(client.received().substr(0, 12), "HTTP/1.1 504");
  parts.mailbox.post_released(s);
  (void)parts.mailbox.deliver(parts.lead);
}

TEST(Mailbox, ChangesOfThreadsAreReportedOnce) {
  ThreadParts parts;
  parts.mailbox.post_threads_changed();
  EXPECT_TRUE(is_rung(parts));
  EXPECT_TRUE(parts.mailbox.deliver(parts.lead).threads_changed);
  EXPECT_FALSE(parts.mailbox.deliver(parts.lead).threads_changed);
}

}  // namespace
}  // namespace iotax
