// Lines for statsd on their way: when they are sent, and what becomes of those that are not taken.
#include "driver/log/statsd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "driver/log/log_sink.h"
#include "support/scripted_env.h"

namespace iotax::driver {
namespace {

using namespace std::chrono_literals;
using support::ScriptedEnv;
using support::ScriptedSys;

constexpr const char* kRefused =
    "WARNING:  Lines for statsd at 127.0.0.1:8125 are lost: Connection refused\n";

/// A log that counts for a receiver.
struct Counting {
  explicit Counting(const char* path = nullptr, WarnedAt* warned_at = nullptr) {
    if (!log.open(written->fd, -1, {})) std::abort();
    receive(path, warned_at);
  }
  void receive(const char* path = nullptr, WarnedAt* warned_at = nullptr) {
    const auto address = path != nullptr ? unix_address(path) : internet_address("127.0.0.1", 8125);
    log.statsd().open({*address, path != nullptr ? path : "127.0.0.1:8125", {"", ""}}, log,
                      warned_at);
  }
  /// One line, and an attempt to send it. Returns how many datagrams have arrived.
  std::size_t send_one() {
    log.statsd().workers(1);
    log.send_datagrams(true);
    return sys.datagrams.size();
  }
  /// The server log.
  std::string text() {
    (void)log.flush(kForever);
    return written->text();
  }

  ScriptedSys sys;
  std::shared_ptr<support::scripted::Sink> written = sys.open_sink();
  LogSink<ScriptedEnv> log{sys};
};

TEST(Statsd, SendsNothingWithoutAReceiver) {
  ScriptedSys sys;
  LogSink<ScriptedEnv> log(sys);
  log.count_request(200, 1ms);
  log.server(Level::error, "failed");
  log.send_datagrams(true);
  EXPECT_FALSE(log.has_full_datagram());
  EXPECT_EQ(sys.calls("open_datagram"), 0U);
}

TEST(Statsd, SendsAllLinesInOneDatagram) {
  Counting one;
  one.log.count_request(200, 1ms);
  one.log.server(Level::error, "failed");
  one.log.server(Level::info, "fine");
  EXPECT_TRUE(one.sys.datagrams.empty());
  one.log.send_datagrams(true);
  one.log.send_datagrams(true);
  EXPECT_EQ(one.sys.datagrams, (std::vector<std::string>{"gunicorn.request.duration:1.000|ms\n"
                                                         "gunicorn.requests:1|c|@1.0\n"
                                                         "gunicorn.request.status.200:1|c|@1.0\n"
                                                         "gunicorn.log.error:1|c|@1.0"}));
}

TEST(Statsd, CountsWhatTheLogHasLoggedSinceItWasOpened) {
  Counting one;
  one.log.server(Level::warning, "before");
  one.receive();
  ASSERT_TRUE(one.log.open(one.written->fd, -1, {.level = Level::error}));
  EXPECT_FALSE(one.log.statsd().is_waiting(one.log));
  one.log.server(Level::warning, "below the level");
  EXPECT_FALSE(one.log.statsd().is_waiting(one.log));
  one.log.server(Level::critical, "logged");
  EXPECT_TRUE(one.log.statsd().is_waiting(one.log));
  one.log.send_datagrams(true);
  EXPECT_EQ(one.sys.datagrams.back(), "gunicorn.log.critical:1|c|@1.0");
  EXPECT_FALSE(one.log.statsd().is_waiting(one.log));
}

TEST(Statsd, SendsALineForEachLineOfTheLogHoweverManyThereAre) {
  Counting one;
  constexpr std::size_t kLines = 5000;
  for (std::size_t n = 0; n < kLines; ++n) one.log.server(Level::error, "failed");
  while (one.log.statsd().is_waiting(one.log)) one.log.send_datagrams(true);
  std::size_t sent = 0;
  for (const std::string& datagram : one.sys.datagrams) {
    EXPECT_LE(datagram.size(), StatsdText::kDatagramBytesMax);
    sent += 1 + static_cast<std::size_t>(std::ranges::count(datagram, '\n'));
  }
  EXPECT_EQ(sent, kLines);
}

TEST(Statsd, KeepsWhatDoesNotFillADatagram) {
  Counting one;
  while (!one.log.has_full_datagram()) {
    one.log.send_datagrams(false);
    one.log.statsd().workers(1);
  }
  EXPECT_TRUE(one.sys.datagrams.empty());
  one.log.send_datagrams(false);
  ASSERT_EQ(one.sys.datagrams.size(), 1U);
  EXPECT_LE(one.sys.datagrams[0].size(), StatsdText::kDatagramBytesMax);
  EXPECT_GT(one.sys.datagrams[0].size(), StatsdText::kDatagramBytesMax - 25);
  EXPECT_FALSE(one.log.has_full_datagram());
  one.log.send_datagrams(true);
  ASSERT_EQ(one.sys.datagrams.size(), 2U);
  EXPECT_EQ(one.sys.datagrams[1], "gunicorn.workers:1|g");
}

TEST(Statsd, IsSentByAFlushOfTheLog) {
  Counting one;
  one.log.count_request(0, 1ms);
  EXPECT_EQ(one.text(), "");
  EXPECT_EQ(one.sys.datagrams.size(), 1U);
}

TEST(Statsd, LosesLinesIfTheSocketIsFullAndWarnsOnceAMinute) {
  Counting one;
  one.sys.advance(1h);
  one.sys.fail_always("send", EAGAIN);
  const std::string warning =
      "WARNING:  Lines for statsd at 127.0.0.1:8125 are lost: its socket is full\n";
  EXPECT_EQ(one.send_one(), 0U);
  EXPECT_EQ(one.text(), warning);
  one.sys.advance(59s);
  EXPECT_EQ(one.send_one(), 0U);
  EXPECT_EQ(one.text(), warning);
  one.sys.advance(1s);
  EXPECT_EQ(one.send_one(), 0U);
  EXPECT_EQ(one.text(), warning + warning);
  EXPECT_EQ(one.sys.calls("open_datagram"), 1U);
  one.sys.heal();
  EXPECT_EQ(one.send_one(), 1U);
}

TEST(Statsd, HoldsBoundedMemoryIfNothingIsSent) {
  Counting one;
  constexpr std::size_t kLines = 2 * Statsd<ScriptedEnv>::kHeldBytesMax / 21;
  for (std::size_t n = 0; n < kLines; ++n) one.log.statsd().workers(1);
  one.log.send_datagrams(true);
  std::size_t bytes = 0;
  for (const std::string& datagram : one.sys.datagrams) bytes += datagram.size() + 1;
  EXPECT_EQ(bytes, Statsd<ScriptedEnv>::kHeldBytesMax / 21 * 21);
  EXPECT_EQ(one.text(),
            "WARNING:  Lines for statsd at 127.0.0.1:8125 are lost: more were waiting than are"
            " kept\n");
}

/// The kernel reports by the next call that the datagram before was not received.
TEST(Statsd, WarnsThatAnEarlierDatagramWasRefused) {
  Counting one;
  one.sys.advance(1h);
  EXPECT_EQ(one.send_one(), 1U);
  one.sys.fail("send", 1, ECONNREFUSED);
  EXPECT_EQ(one.send_one(), 2U) << "a receiver may have come";
  EXPECT_EQ(one.text(), kRefused);
  EXPECT_EQ(one.sys.datagrams.back(), "gunicorn.log.warning:1|c|@1.0");
}

TEST(Statsd, LosesNothingIfAUnixSocketIsBoundAgain) {
  Counting one("/run/statsd.sock");
  EXPECT_EQ(one.send_one(), 1U);
  one.sys.fail("send", 1, ECONNREFUSED);
  EXPECT_EQ(one.send_one(), 2U);
  EXPECT_EQ(one.text(), "");
  EXPECT_EQ(one.sys.open_descriptors_but_files(), 3U) << "two of the log, and one socket";
}

TEST(Statsd, FindsAReceiverThatComesLater) {
  Counting one("/run/statsd.sock");
  one.sys.advance(1h);
  one.sys.fail_always("open_datagram", ENOENT);
  EXPECT_EQ(one.send_one(), 0U);
  EXPECT_EQ(one.text(),
            "WARNING:  Lines for statsd at /run/statsd.sock are lost: No such file or"
            " directory\n");
  one.sys.heal();
  EXPECT_EQ(one.send_one(), 1U);
}

TEST(Statsd, WarnsOnceForAllProcessesOfTheServer) {
  WarnedAt warned_at{0};
  Counting one(nullptr, &warned_at), other(nullptr, &warned_at);
  for (Counting* const process : {&one, &other}) {
    process->sys.advance(1h);
    process->sys.fail_always("open_datagram", ECONNREFUSED);
    EXPECT_EQ(process->send_one(), 0U);
  }
  EXPECT_EQ(one.text(), kRefused);
  EXPECT_EQ(other.text(), "");
}

TEST(Statsd, SendsToAFormerReceiverWhatWasForIt) {
  Counting one;
  one.log.statsd().workers(1);
  one.receive("/run/statsd.sock");
  EXPECT_EQ(one.sys.datagrams.size(), 1U);
  EXPECT_EQ(one.sys.calls("open_datagram"), 1U);
  one.log.statsd().workers(2);
  one.log.send_datagrams(true);
  EXPECT_EQ(one.sys.datagrams.back(), "gunicorn.workers:2|g");
  EXPECT_EQ(one.sys.calls("open_datagram"), 2U);
  one.log.statsd().workers(3);
  one.log.statsd().close();
  one.log.send_datagrams(true);
  EXPECT_EQ(one.sys.datagrams.size(), 2U);
}

TEST(Statsd, SendsNothingInTheChildOfAForkUntilItIsAProcessOfTheServer) {
  Counting one;
  one.send_one();
  one.log.statsd().workers(2);
  one.log.statsd().abandon_in_child();
  EXPECT_EQ(one.send_one(), 1U);
  one.log.statsd().resume_in_child();
  one.log.send_datagrams(true);
  EXPECT_EQ(one.sys.datagrams.size(), 1U) << "the parent sends its lines";
  EXPECT_EQ(one.send_one(), 2U);
  EXPECT_EQ(one.sys.datagrams.back(), "gunicorn.workers:1|g");
  EXPECT_EQ(one.sys.calls("open_datagram"), 2U) << "on a socket of its own";
}

}  // namespace
}  // namespace iotax::driver
