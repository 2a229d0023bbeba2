#include "driver/session/sender.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "support/bytes.h"
#include "support/loop_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using support::bytes_of;
using support::kGet;
using support::LoopParts;

/// A session whose request is ready, with a sender.
struct OneRequest : LoopParts {
  using Rest = driver::Sender<E>::Rest;

  explicit OneRequest(driver::Config settings = {}) : LoopParts(std::move(settings)) {
    std::tie(client, s) = connect();
    client.send(kGet);
    turn();
    if (ready.empty() || ready.pop() != s) std::abort();
    sys.reset_calls();
  }
  ~OneRequest() {  // the test is the thread that had the request
    s->stream.owner.store(driver::Owner::loop);
  }
  /// The head of a response with the first `given` of `length` bytes; the machine keeps them.
  void respond(std::size_t length, std::string_view given) {
    core::ResponseHead head;
    head.status = "200 OK";
    head.content_bytes = length;
    s->stream.status = s->link.machine.respond(s->link.machine.head().id, head);
    s->link.machine.body(s->link.machine.head().id, bytes_of(given));
    s->stream.log_line = driver::Line::none;
  }
  void send() { sender.send_output(lead, *s, sys.now()); }
  void send_unled(Rest rest) { sender.send_output(mutex, *s, sys.now(), rest); }
  [[nodiscard]] std::uint64_t sends() const {
    return sys.calls("send") + sys.calls("send_gathered") + sys.calls("sendfile");
  }
  [[nodiscard]] bool disconnected() const { return s->link.disconnected.load(); }
  /// The client reads everything that the outbox has.
  void drain() {
    client.read_by_hand(1 << 30);
    EXPECT_EQ(s->link.outbox->drain(1 << 30), driver::Drained::empty);
    client.read(1 << 30);
  }

  driver::StateMutex<E> mutex;
  support::ScriptedClient client;
  Session* s = nullptr;
};

TEST(Sender, SendsAResponseWithOneCall) {
  OneRequest one;
  support::write_response(*one.s, "ok");
  one.send();
  EXPECT_EQ(one.sends(), 1U);
  EXPECT_TRUE(one.client.received().ends_with("\r\n\r\nok"));
  EXPECT_TRUE(one.s->link.machine.output().empty());
  EXPECT_EQ(one.s->link.outbox.get(), nullptr);
}

TEST(Sender, WithoutOutputItMakesNoSystemCall) {
  OneRequest one;
  one.send();
  EXPECT_EQ(one.sys.calls(), 0U);
}

TEST(Sender, KeepsWhatTheSocketDoesNotTakeInTheOutbox) {
  OneRequest one;
  one.client.read_by_hand(10);
  support::write_response(*one.s, "ok");
  one.send();
  EXPECT_TRUE(one.s->link.machine.output().empty());
  EXPECT_TRUE(one.s->link.backlogged());
  EXPECT_FALSE(one.disconnected());
  one.drain();
  EXPECT_TRUE(one.client.received().ends_with("\r\n\r\nok"));
}

TEST(Sender, AFullSocketIsNotTheEndOfTheConnection) {
  OneRequest one;
  one.sys.fail("send", 1, EAGAIN);
  support::write_response(*one.s, "ok");
  one.send();
  EXPECT_FALSE(one.disconnected());
  EXPECT_TRUE(one.s->link.backlogged());
}

TEST(Sender, AFailedSendMarksTheSessionAsDisconnectedAndDropsItsOutput) {
  for (const int error : {EPIPE, ECONNRESET, ENETUNREACH}) {
    OneRequest one;
    one.sys.fail("send", 1, error);
    support::write_response(*one.s, "ok");
    one.send();
    EXPECT_TRUE(one.disconnected());
    EXPECT_TRUE(one.s->link.machine.output().empty());
    EXPECT_FALSE(one.s->link.backlogged());
  }
}

TEST(Sender, ADisconnectedSessionIsNotSentTo) {
  OneRequest one;
  one.s->link.disconnected.store(true);
  support::write_response(*one.s, "ok");
  one.send();
  EXPECT_EQ(one.sends(), 0U);
  EXPECT_TRUE(one.s->link.machine.output().empty());
}

TEST(Sender, OutputAfterUnsentBytesWaitsBehindThem) {
  OneRequest one;
  one.client.read_by_hand(10);
  one.respond(6, "abc");
  one.send();
  one.client.read_by_hand(10000);  // the socket would take more now
  one.s->link.machine.body(one.s->link.machine.head().id, bytes_of("def"));
  one.send();
  one.drain();
  EXPECT_TRUE(one.client.received().ends_with("\r\n\r\nabcdef"));
}

// ---- responses to earlier requests

TEST(Sender, SendsEarlierResponsesBeforeTheOutputWithOneCall) {
  OneRequest one;
  one.s->link.earlier_output.append(one.lead, bytes_of("earlier "));
  support::write_response(*one.s, "ok");
  one.send();
  EXPECT_EQ(one.sends(), 1U);
  EXPECT_TRUE(one.client.received().starts_with("earlier HTTP/1.1 200"));
  EXPECT_TRUE(one.s->link.earlier_output.empty(one.lead));
}

TEST(Sender, AResponseThatIsSetAsideIsSentWithoutTheMachine) {
  OneRequest one;
  support::write_response(*one.s, "ok");
  one.sender.set_aside(one.lead, *one.s);
  EXPECT_TRUE(one.s->link.machine.output().empty());
  EXPECT_EQ(one.sends(), 0U);
  one.sender.send_earlier(one.lead, *one.s);
  EXPECT_TRUE(one.client.received().ends_with("\r\n\r\nok"));
  EXPECT_TRUE(one.s->link.earlier_output.empty(one.lead));
  one.sender.send_earlier(one.lead, *one.s);  // nothing is left
  EXPECT_EQ(one.sends(), 1U);
}

TEST(Sender, BytesBesideTheMachineWaitBehindUnsentOutput) {
  OneRequest one;
  one.client.read_by_hand(10);
  support::write_response(*one.s, "ok");
  one.send();
  one.client.read_by_hand(10000);
  one.sender.send_beside(one.lead, *one.s, bytes_of(" beside"));
  one.drain();
  EXPECT_TRUE(one.client.received().ends_with("ok beside"));
}

TEST(Sender, BytesBesideTheMachineAreNotSentToADisconnectedClient) {
  OneRequest one;
  one.s->link.disconnected.store(true);
  one.sender.send_beside(one.lead, *one.s, bytes_of("late"));
  EXPECT_EQ(one.sends(), 0U);
}

// ---- files

TEST(Sender, SendsAFileAfterTheHead) {
  OneRequest one;
  core::ResponseHead head;
  head.status = "200 OK";
  head.content_bytes = 4;
  const core::RequestId id = one.s->link.machine.head().id;
  one.s->stream.status = one.s->link.machine.respond(id, head);
  one.s->stream.file = driver::UniqueFd(one.sys.open_file("0123456789"));
  one.s->stream.file_offset = 3;
  one.s->link.machine.body_file(id, 4);
  one.s->link.machine.finish(id);
  one.s->stream.log_line = driver::Line::none;
  one.send();
  EXPECT_TRUE(one.client.received().ends_with("\r\n\r\n3456"));
}

TEST(Sender, AFileShorterThanAnnouncedDisconnectsTheClient) {
  OneRequest one;
  core::ResponseHead head;
  head.status = "200 OK";
  head.content_bytes = 4;
  const core::RequestId id = one.s->link.machine.head().id;
  one.s->stream.status = one.s->link.machine.respond(id, head);
  one.s->stream.file = driver::UniqueFd(one.sys.open_file("01"));
  one.s->link.machine.body_file(id, 4);
  one.s->link.machine.finish(id);
  one.s->stream.log_line = driver::Line::none;
  one.send();
  EXPECT_TRUE(one.disconnected());
  EXPECT_FALSE(one.s->link.backlogged());
}

// ---- without the lead

TEST(Sender, AThreadWithoutTheLeadMakesAnOutbox) {
  OneRequest one;
  one.client.read_by_hand(10);
  support::write_response(*one.s, "ok");
  one.send_unled(OneRequest::Rest::kept);
  EXPECT_TRUE(one.s->link.backlogged());
  EXPECT_TRUE(one.s->link.machine.output().empty());
}

TEST(Sender, OutputThatDoesNotFitIntoTheOutboxStaysIfTheCallerCanWait) {
  driver::Config config;
  config.answer_memory_bytes = 64 * 1024;
  config.spool_bytes_max = 0;
  const std::string block(1 << 20, 'x');
  for (const bool stays : {true, false}) {
    OneRequest one(config);
    one.client.read_by_hand(1000);
    one.respond(block.size(), block);
    one.send_unled(stays ? OneRequest::Rest::stays : OneRequest::Rest::kept);
    EXPECT_EQ(one.s->link.machine.output().empty(), !stays);
    if (stays) {
      EXPECT_LE(one.s->link.outbox->bytes(), config.answer_memory_bytes);
    }
    one.send_unled(OneRequest::Rest::kept);
    EXPECT_TRUE(one.s->link.machine.output().empty());
    one.drain();
    EXPECT_TRUE(one.client.received().ends_with("\r\n\r\n" + block));
  }
}

}  // namespace
}  // namespace iotax
