#include "driver/wire.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <string_view>

#include "support/scripted_env.h"

namespace iotax {
namespace {

class PlainWire : public testing::Test {
 protected:
  std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

  support::ScriptedSys sys;
  int listener = sys.listen();
  support::ScriptedClient client = sys.connect(listener);
  driver::PlainWire<support::ScriptedEnv> wire{sys, sys.accept(listener)->fd};
};

TEST_F(PlainWire, ReadsInputUntilEof) {
  std::array<std::byte, 8> into;
  EXPECT_EQ(wire.recv(into).error(), EAGAIN);
  client.send("abc");
  EXPECT_EQ(*wire.recv(into), 3U);
  client.half_close();
  EXPECT_EQ(*wire.recv(into), 0U);
}

TEST_F(PlainWire, SendsAsMuchAsTheSocketTakes) {
  client.read_by_hand(4);
  EXPECT_EQ(*wire.send(bytes("abcdef")), 4U);
  EXPECT_EQ(wire.send(bytes("ef")).error(), EAGAIN);
  EXPECT_EQ(*wire.unacked_bytes(), 4U);
}

TEST_F(PlainWire, SendsAPartOfAFile) {
  const int file = sys.open_file("0123456789");
  EXPECT_EQ(*wire.send_file(file, 3, 4), 4U);
  EXPECT_EQ(client.received(), "3456");
  sys.close(file);
}

TEST_F(PlainWire, ClosesWithAFinOrAReset) {
  for (const bool reset : {false, true}) {
    support::ScriptedClient another = sys.connect(listener);
    driver::PlainWire<support::ScriptedEnv> its{sys, sys.accept(listener)->fd};
    if (reset) its.reset_on_close();
    EXPECT_TRUE(its.is_open());
    its.close();
    EXPECT_FALSE(its.is_open());
    EXPECT_TRUE(another.closed_by_server());
    EXPECT_EQ(another.was_reset(), reset);
  }
}

TEST_F(PlainWire, SendsAFinBeforeItCloses) {
  wire.shutdown_write();
  EXPECT_TRUE(client.ended());
  EXPECT_FALSE(client.closed_by_server());
}

}  // namespace
}  // namespace iotax
