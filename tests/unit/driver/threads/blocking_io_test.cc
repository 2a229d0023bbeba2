#include "driver/threads/blocking_io.h"

#include <gtest/gtest.h>

#include <array>
#include <span>
#include <string>

#include "support/thread_parts.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::BodyError;
using driver::BodyRead;
using driver::Sent;
using support::ScriptedClient;
using support::ThreadParts;

/// A request whose call runs in thread 0, with the application lock, while the lead is lent.
struct Calling : ThreadParts {
  explicit Calling(std::string_view bytes, driver::Config settings = {})
      : ThreadParts(std::move(settings)) {
    client = sys.connect(listener);
    client.send(bytes);
    turn();
    turn();
    s = loop.ready().pop();
    threads[0].lock.acquire();
    threads[0].exchange.begin(*s, loop.now());
  }
  ~Calling() {
    threads[0].lock.release();
    if (s->stream.owner.load() != driver::Owner::loop) loop.requests().completed(lead, *s);
    loop.flush(lead);
  }
  BodyRead read(std::span<std::byte> into) { return io.read_body(0, *s, into); }

  ScriptedClient client;
  Session* s = nullptr;
};

driver::Config unbuffered() {
  driver::Config config;
  config.request_buffering = false;
  return config;
}

constexpr std::string_view kPost = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n";

TEST(BlockingIo, ReadsABufferedBodyWithoutReleasingTheLock) {
  Calling call(std::string(kPost) + "abcdef");
  std::array<std::byte, 4> into;
  EXPECT_EQ(call.read(into).bytes, 4U);
  EXPECT_EQ(call.read(into).bytes, 2U);
  const BodyRead end = call.read(into);
  EXPECT_EQ(end.bytes, 0U);
  EXPECT_EQ(end.error, BodyError::none);
}

TEST(BlockingIo, WaitsForABodyThatArrivesDuringTheCall) {
  Calling call(kPost, unbuffered());
  call.sys.after(2s, [&] { call.client.send("abc"); });
  call.sys.after(3s, [&] { call.client.send("def"); });
  std::array<std::byte, 100> into;
  const core::Instant began = call.sys.now();
  EXPECT_EQ(call.read(into).bytes, 3U);
  EXPECT_EQ(call.sys.now(), began + 2s);
  EXPECT_EQ(call.read(into).bytes, 3U);
  EXPECT_EQ(call.read(into).bytes, 0U);
}

TEST(BlockingIo, ReleasesTheLockWhileItWaits) {
  Calling call(kPost, unbuffered());
  bool acquired = false;
  call.sys.after(1s, [&] {
    call.app.enter(driver::LeadWord::kSpare);
    acquired = true;
    call.app.leave(driver::LeadWord::kSpare);
    call.client.send("abcdef");
  });
  std::array<std::byte, 100> into;
  EXPECT_EQ(call.read(into).bytes, 6U);
  EXPECT_TRUE(acquired);
}

TEST(BlockingIo, AClientThatDisconnectsInItsBodyIsAnError) {
  Calling call(kPost, unbuffered());
  call.client.send("abc");
  std::array<std::byte, 100> into;
  EXPECT_EQ(call.read(into).bytes, 3U);
  call.sys.after(1s, [&] { call.client.reset(); });
  EXPECT_EQ(call.read(into).error, BodyError::disconnected);
}

TEST(BlockingIo, SendsWithoutWaitingWhileTheSocketHasRoom) {
  Calling call("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  core::ResponseHead head;
  head.status = "200 OK";
  head.content_bytes = 2;
  const core::RequestId id = call.s->link.machine.head().id;
  call.s->stream.status = call.s->link.machine.respond(id, head);
  call.s->link.machine.body(id, std::as_bytes(std::span(std::string_view("ok"))));
  EXPECT_EQ(call.io.deliver(0, *call.s), Sent::ok);
  EXPECT_EQ(call.client.received().substr(0, 12), "HTTP/1.1 200");
  call.s->link.machine.finish(id);
  call.s->stream.log_line = driver::Line::none;
}

TEST(BlockingIo, ReportsToTheCallThatItsClientHasDisconnected) {
  Calling call("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  core::ResponseHead head;
  head.status = "200 OK";
  head.content_bytes = 2;
  const core::RequestId id = call.s->link.machine.head().id;
  call.s->stream.status = call.s->link.machine.respond(id, head);
  call.s->link.machine.body(id, std::as_bytes(std::span(std::string_view("ok"))));
  call.client.reset();
  EXPECT_EQ(call.io.deliver(0, *call.s), Sent::gone);
  call.s->link.machine.finish(id);
  call.s->stream.log_line = driver::Line::none;
}

}  // namespace
}  // namespace iotax
