#include "driver/session/session.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "support/bytes.h"
#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::BodyError;
using driver::BodyRead;
using support::bytes_of;
using support::kGet;
using support::LoopParts;

// ---- EarlierOutput

TEST(EarlierOutput, KeepsBytesInOrderUntilItIsCleared) {
  const LoopParts parts;
  driver::EarlierOutput earlier;
  EXPECT_TRUE(earlier.empty(parts.lead));
  earlier.append(parts.lead, bytes_of("one "));
  earlier.append(parts.lead, bytes_of("two"));
  const std::span<const std::byte> kept = earlier.bytes(parts.lead);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(kept.data()), kept.size()), "one two");
  EXPECT_FALSE(earlier.empty(parts.lead));
  earlier.clear(parts.lead);
  EXPECT_TRUE(earlier.empty(parts.lead));
  EXPECT_TRUE(earlier.bytes(parts.lead).empty());
}

// ---- OutboxOnce

struct OneOutbox : LoopParts {
  OneOutbox() { std::tie(client, s) = connect(); }
  driver::Outbox<E>& outbox() {
    return s->link.outbox.get_or_make(lead, sys, s->link.wire, intake.budget(), config.spool_dir,
                                      config.answer_memory_bytes, config.limits);
  }

  support::ScriptedClient client;
  Session* s = nullptr;
};

TEST(OutboxOnce, IsMadeOnFirstUseAndThenKept) {
  OneOutbox one;
  EXPECT_EQ(one.s->link.outbox.get(), nullptr);
  driver::Outbox<LoopParts::E>& made = one.outbox();
  EXPECT_EQ(one.s->link.outbox.get(), &made);
  EXPECT_EQ(&one.outbox(), &made);
}

TEST(OutboxOnce, ReleasingItGivesItsMemoryBack) {
  OneOutbox one;
  const std::uint64_t room = one.intake.budget().response_memory.left();
  one.outbox().append(bytes_of(std::string(100'000, 'x')));
  EXPECT_LT(one.intake.budget().response_memory.left(), room);
  EXPECT_TRUE(one.s->link.backlogged());
  one.s->link.outbox.release(one.lead);
  EXPECT_EQ(one.s->link.outbox.get(), nullptr);
  EXPECT_FALSE(one.s->link.backlogged());
  EXPECT_EQ(one.intake.budget().response_memory.left(), room);
}

// ---- Link

TEST(Link, IsBackloggedWhileItsOutboxHasUnsentBytes) {
  OneOutbox one;
  EXPECT_FALSE(one.s->link.backlogged());
  one.outbox();
  EXPECT_FALSE(one.s->link.backlogged());
  one.outbox().append(bytes_of("text"));
  EXPECT_TRUE(one.s->link.backlogged());
  EXPECT_EQ(one.outbox().drain(100), driver::Drained::empty);
  EXPECT_FALSE(one.s->link.backlogged());
}

TEST(Link, TheTimeoutsOfTheClientPauseWithItsClock) {
  OneOutbox one;
  one.client.send(kGet.substr(0, 5));
  one.turn();
  core::Connection& machine = one.s->link.machine;
  const core::Instant due = machine.deadline();
  ASSERT_NE(due, core::kNever);
  one.s->link.pause_clock(true, one.sys.now());
  EXPECT_EQ(machine.deadline(), core::kNever);
  one.sys.advance(10s);
  one.s->link.pause_clock(true, one.sys.now());  // twice is as once
  one.s->link.pause_clock(false, one.sys.now());
  EXPECT_EQ(machine.deadline(), due + 10s);
}

// ---- read_stored()

struct StoredBody : OneOutbox {
  StoredBody() { EXPECT_TRUE(intake.store(*s, bytes_of("abcdef"))); }
};

TEST(ReadStored, ReturnsTheNextBytesOfTheBody) {
  StoredBody one;
  std::array<std::byte, 4> into;
  EXPECT_EQ(read_stored(*one.s, std::span<std::byte>(into)).bytes, 4U);
  EXPECT_EQ(into[3], std::byte{'d'});
  EXPECT_EQ(one.s->stream.body_taken, 4U);
  EXPECT_EQ(read_stored(*one.s, std::span<std::byte>(into)).bytes, 2U);
  EXPECT_EQ(into[0], std::byte{'e'});
}

TEST(ReadStored, AFileThatCannotBeReadIsAnErrorOfTheRequest) {
  driver::Config config;
  config.body_memory_bytes = 2;
  config.spool_dir = "/tmp";
  LoopParts parts(config);
  auto [client, s] = parts.connect();
  ASSERT_TRUE(parts.intake.store(*s, bytes_of("abcdef")));
  parts.sys.fail_always("pread", EIO);
  std::array<std::byte, 4> into;
  EXPECT_EQ(read_stored(*s, std::span<std::byte>(into)).bytes, 2U);  // from memory
  const BodyRead failed = read_stored(*s, std::span<std::byte>(into));
  EXPECT_EQ(failed.bytes, 0U);
  EXPECT_EQ(failed.error, BodyError::storage);
  EXPECT_EQ(s->stream.body_error, BodyError::storage);
}

}  // namespace
}  // namespace iotax
