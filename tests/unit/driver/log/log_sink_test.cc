// The log: whole lines, bounded memory, no waiting for readers.
#include "driver/log/log_sink.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "driver/os/unique_fd.h"
#include "support/scripted_env.h"

// ThreadSanitizer ends a forked child that starts threads, unless it is asked not to; the test of
// the fork does so.
extern "C" const char* __tsan_default_options() {  // NOLINT(bugprone-reserved-identifier): its name
  return "die_after_fork=0";
}

namespace iotax::driver {
namespace {

using std::chrono::seconds;
using support::ScriptedEnv;
using support::ScriptedSys;

constexpr core::Duration kMorning =
    std::chrono::milliseconds{1795428140123};  // 2026-11-23T10:02:20.123Z

TEST(FormatServer, WritesLevelAndText) {
  EXPECT_EQ(format_server({}, Level::info, "Started server process [4712]", kMorning, 1),
            "INFO:     Started server process [4712]\n");
  EXPECT_EQ(format_server({}, Level::critical, "x", kMorning, 1), "CRITICAL: x\n");
  EXPECT_EQ(format_server({}, Level::warning, "", kMorning, 1), "WARNING:  \n");
}

TEST(FormatServer, PrefixesEachLine) {
  const LogStyle style{Level::info, false, true};
  EXPECT_EQ(format_server(style, Level::error, "one\ntwo\n", kMorning, 4712),
            "2026-11-23T10:02:20.123+00:00 [4712] ERROR:    one\n"
            "2026-11-23T10:02:20.123+00:00 [4712] two\n");
}

TEST(FormatServer, ColorsTheLevelWordOnly) {
  const LogStyle style{Level::info, true, false};
  EXPECT_EQ(format_server(style, Level::info, "up", kMorning, 1), "\x1b[32mINFO\x1b[0m:     up\n");
}

TEST(LogSink, SendsAccessAndServerLinesToTheirDescriptors) {
  ScriptedSys sys;
  const auto server = sys.open_sink(), access = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(server->fd, access->fd, {}));
  log.access("a line\n");
  log.server(Level::debug, "below the level");
  log.server(Level::info, "up");
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(access->text(), "a line\n");
  EXPECT_EQ(server->text(), "INFO:     up\n");
}

TEST(LogSink, WritesApplicationTextUnchanged) {
  ScriptedSys sys;
  const auto server = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(server->fd, -1, {Level::critical, true, true}));
  log.application(&sys, "a {\"level\": \"info\"}\n\nb\r\n", false, {});
  log.server(Level::info, "below the level");
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(server->text(), "a {\"level\": \"info\"}\n\nb\r\n");
}

TEST(LogSink, EndsAnUnfinishedLineBeforeOtherLines) {
  ScriptedSys sys;
  const int one = 1, other = 2;
  const auto written = [&](auto&& log_into) {
    const auto server = sys.open_sink();
    LogSink<ScriptedEnv> log(sys);
    EXPECT_TRUE(log.open(server->fd, -1, {}));
    log_into(log);
    EXPECT_TRUE(log.flush(kForever));
    return server->text();
  };
  EXPECT_EQ(written([&](Log& log) {
              log.application(&one, ".", false, {});
              log.application(&one, ".", false, {});
              log.application(&one, "done\n", false, {});
            }),
            "..done\n");
  EXPECT_EQ(written([&](Log& log) {
              log.application(&one, "half", false, {});
              log.server(Level::info, "up");
              log.application(&one, "rest\n", true, {});
            }),
            "half\nINFO:     up\nrest\n");
  EXPECT_EQ(written([&](Log& log) {
              log.application(&one, "half", false, {});
              log.application(&other, "whole\n", true, {});
              log.application(&one, "", true, {});
              log.application(&other, "", true, {});
            }),
            "half\nwhole\n")
      << "no empty line";
  EXPECT_EQ(written([&](Log& log) {
              log.application(&one, "half", false, {});
              log.application(&one, "", true, {});
              log.application(&one, "end", true, {});
            }),
            "half\nend\n");
}

TEST(LogSink, KeepsOneApplicationTextOfAnySize) {
  ScriptedSys sys;
  const auto server = sys.open_sink();
  server->stuck = true;
  LogSink<ScriptedEnv> log(sys, 1000);
  ASSERT_TRUE(log.open(server->fd, -1, {}));
  const std::string large(1'000'000, 'x');
  log.server(Level::info, "up");
  log.application(&sys, large, false, {});
  log.application(&sys, "dropped\n", false, {});
  log.server(Level::info, "dropped, too");
  server->stuck = false;
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(server->text().substr(0, large.size() + 15), "INFO:     up\n" + large + "\nW");
  EXPECT_NE(server->text().find("2 log lines dropped"), std::string::npos);
}

TEST(LogSink, StartsNoThreadBeforeTheFirstLine) {
  ScriptedSys sys;
  {
    LogSink<ScriptedEnv> log(sys);
    log.access("nowhere yet\n");
    EXPECT_TRUE(log.flush(kForever));
    EXPECT_EQ(sys.threads_started(), 0U);
    ASSERT_TRUE(log.open(-1, -1, {}));
    log.server(Level::error, "nowhere");
    EXPECT_TRUE(log.flush(kForever));
  }
  EXPECT_EQ(sys.open_descriptors(), 0U);
}

TEST(LogSink, BatchesCompleteLinesUpToPipeBuf) {
  ScriptedSys sys;
  const auto sink = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(-1, sink->fd, {}));
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string line = std::string(static_cast<std::size_t>(20 + i % 50), 'x') + '\n';
    log.access(line);
    expected += line;
  }
  log.access(std::string(10000, 'y') + '\n');
  expected += std::string(10000, 'y') + '\n';
  ASSERT_TRUE(log.flush(kForever));
  EXPECT_EQ(sink->text(), expected);
  for (const std::string& write : sink->writes) {
    EXPECT_EQ(write.back(), '\n');
    EXPECT_TRUE(write.size() <= 4096 || std::count(write.begin(), write.end(), '\n') == 1);
  }
  EXPECT_LT(sink->writes.size(), 100U) << "lines that wait together leave together";
}

TEST(LogSink, AStoppedReaderLosesLinesButDelaysNothing) {
  ScriptedSys sys;
  const auto sink = sys.open_sink();
  sink->stuck = true;
  LogSink<ScriptedEnv> log(sys, 1000);
  ASSERT_TRUE(log.open(-1, sink->fd, {}));
  const auto before = sys.now();
  for (int i = 0; i < 500; ++i) log.access("123456789\n");
  EXPECT_EQ(sys.now(), before) << "nobody waited";
  EXPECT_FALSE(log.flush(seconds{2}));
  EXPECT_EQ(sys.now() - before, core::Duration{seconds{2}});
  sink->stuck = false;
  EXPECT_TRUE(log.flush(kForever));
  sys.sleep(seconds{1});
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += "123456789\n";
  EXPECT_EQ(sink->text(), expected + "400 log lines dropped\n");
  log.access("goes on\n");
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(sink->text(), expected + "400 log lines dropped\ngoes on\n");
}

TEST(LogSink, CountsItsEntriesBySeverityAndTheLinesThatItDrops) {
  ScriptedSys sys;
  const auto stuck = sys.open_sink();
  stuck->stuck = true;
  LogSink<ScriptedEnv> log(sys, 1000);
  ASSERT_TRUE(log.open(sys.open_sink()->fd, stuck->fd, {}));
  log.server(Level::debug, "left out");
  log.server(Level::warning, "one\nentry");
  log.server(Level::error, "another");
  log.application(&log, "of the application\n", true, {});
  for (int i = 0; i < 500; ++i) log.access("123456789\n");
  const driver::LogCounts counts = log.counts();
  EXPECT_EQ(counts.lines, (std::array<std::uint64_t, 5>{0, 0, 1, 1, 0}));
  EXPECT_EQ(counts.dropped, (std::array<std::uint64_t, 2>{400, 0}));
  stuck->stuck = false;
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(log.counts().dropped[0], 400U);
}

TEST(LogSink, FlushWaitsAsLongAsTheReaderTakesSomething) {
  ScriptedSys sys;
  const auto server = sys.open_sink(), access = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(server->fd, access->fd, {}));
  const std::string line = std::string(3000, 'x') + '\n';  // one write each
  std::string expected;
  const auto log_lines = [&](int count) {
    for (int i = 0; i < count; ++i) log.access(line);
    for (int i = 0; i < count; ++i) expected += line;
  };
  access->pace = std::chrono::milliseconds{900};
  server->stuck = true;
  log.server(Level::info, "of no use");
  log_lines(8);
  auto before = sys.now();
  EXPECT_FALSE(log.flush(seconds{1})) << "the other log";
  EXPECT_EQ(sys.now() - before, core::Duration{8 * access->pace});
  EXPECT_EQ(access->text(), expected);
  server->stuck = false;
  EXPECT_TRUE(log.flush(seconds{1}));

  log_lines(50);
  before = sys.now();
  EXPECT_FALSE(log.flush(seconds{1})) << "a reader that is slow for ever";
  EXPECT_EQ(sys.now() - before, core::Duration{seconds{10}});

  access->stuck = server->stuck = true;
  log.server(Level::info, "of no use");
  sys.sleep(seconds{1});
  before = sys.now();
  EXPECT_FALSE(log.flush(seconds{1}));
  EXPECT_EQ(sys.now() - before, core::Duration{seconds{1}}) << "of both at the same time";
  access->stuck = server->stuck = false;
  access->pace = {};
}

TEST(LogSink, AStuckLogDoesNotDelayTheOther) {
  ScriptedSys sys;
  const auto server = sys.open_sink(), access = sys.open_sink();
  access->stuck = true;
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(server->fd, access->fd, {}));
  log.access("held\n");
  log.server(Level::info, "seen");
  EXPECT_FALSE(log.flush(seconds{1}));
  EXPECT_EQ(server->text(), "INFO:     seen\n");
  access->stuck = false;
}

TEST(LogSink, ABrokenPipeClosesOnlyItsOwnLog) {
  ScriptedSys sys;
  const auto server = sys.open_sink(), access = sys.open_sink();
  access->broken = true;
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(server->fd, access->fd, {}));
  log.access("lost\n");
  EXPECT_TRUE(log.flush(kForever));
  const auto writes = sys.calls("write");
  log.access("lost too\n");
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(sys.calls("write"), writes) << "it is not tried again";
  log.server(Level::info, "up");
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(server->text(), "INFO:     up\n");
}

TEST(LogSink, CountsLinesDroppedOnAFullDisk) {
  ScriptedSys sys;
  const auto sink = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(sink->fd, -1, {}));
  sys.fail("write", 1, ENOSPC);
  log.server(Level::info, "lost");
  EXPECT_TRUE(log.flush(kForever));
  sys.sleep(seconds{1});
  EXPECT_EQ(sink->text(), "WARNING:  1 log line dropped\n");
}

TEST(LogSink, WaitsForAnInheritedNonBlockingDescriptor) {
  ScriptedSys sys;
  const auto sink = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(sink->fd, -1, {}));
  sys.fail("write", 1, EAGAIN);
  log.server(Level::info, "late");
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(sink->text(), "INFO:     late\n");
  EXPECT_EQ(sys.calls("poll"), 1U);
}

TEST(LogSink, ReopeningKeepsEarlierLines) {
  ScriptedSys sys;
  const auto first = sys.open_sink(), second = sys.open_sink();
  first->stuck = true;
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(first->fd, -1, {}));
  log.server(Level::info, "before");
  ASSERT_TRUE(log.open(second->fd, -1, {}));
  log.server(Level::info, "after");
  const std::size_t with_both = sys.open_descriptors();
  first->stuck = false;
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(first->text(), "INFO:     before\n");
  EXPECT_EQ(second->text(), "INFO:     after\n");
  EXPECT_EQ(sys.open_descriptors(), with_both - 1) << "the duplicate of the first is closed";
}

TEST(LogSink, FailureToOpenIsReturned) {
  ScriptedSys sys;
  const auto first = sys.open_sink(), second = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(first->fd, -1, {}));
  sys.fail("duplicate", 1, EMFILE);
  EXPECT_EQ(log.open(second->fd, -1, {}).error(), EMFILE);
  log.server(Level::info, "still here");
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(first->text(), "INFO:     still here\n");
}

TEST(LogSink, RetriesAThreadThatCouldNotStart) {
  ScriptedSys sys;
  const auto sink = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  sys.fail("start_thread", 1, EAGAIN, 4);
  ASSERT_TRUE(log.open(sink->fd, -1, {}));
  log.server(Level::info, "one");
  EXPECT_FALSE(log.flush(seconds{1}));
  log.server(Level::info, "two");
  sys.heal();
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(sink->text(), "INFO:     one\nINFO:     two\n");
}

TEST(LogSink, AnIdleThreadMakesNoSystemCalls) {
  ScriptedSys sys;
  const auto sink = sys.open_sink();
  LogSink<ScriptedEnv> log(sys);
  ASSERT_TRUE(log.open(sink->fd, -1, {}));
  log.server(Level::info, "up");
  ASSERT_TRUE(log.flush(kForever));
  sys.sleep(seconds{1});
  const auto calls = sys.calls();
  const auto waits = sys.calls("futex_wait");
  sys.sleep(std::chrono::hours{24});
  EXPECT_EQ(sys.calls(), calls);
  EXPECT_EQ(sys.calls("futex_wait"), waits);
}

TEST(LogSink, WithoutThreadsTheCallerWritesOrDrops) {
  ScriptedSys sys;
  const auto server = sys.open_sink(), access = sys.open_sink();
  sys.record_threads();
  LogSink<ScriptedEnv> log(sys);
  log.write_in_caller();
  ASSERT_TRUE(log.open(server->fd, access->fd, {}));
  log.server(Level::info, "one");
  EXPECT_EQ(server->text(), "INFO:     one\n");
  server->stuck = true;
  log.server(Level::info, "two\nlines");
  server->stuck = false;
  log.server(Level::info, "three");
  EXPECT_EQ(server->text(), "INFO:     one\nWARNING:  2 log lines dropped\nINFO:     three\n");
  server->stuck = true;
  sys.after(std::chrono::milliseconds{50}, [&] { server->stuck = false; });
  log.server(Level::info, "four");  // until then another process fills the pipe
  EXPECT_TRUE(server->text().ends_with("INFO:     three\nINFO:     four\n")) << server->text();
  EXPECT_TRUE(log.flush(core::Duration::zero()));
  EXPECT_EQ(sys.threads_started(), 0U);
}

TEST(LogSink, ReopensItsNamedFiles) {
  ScriptedSys sys;
  LogSink<ScriptedEnv> log(sys);
  const auto access = sys.open_sink();
  const Result<int> opened = sys.open_append("server.log");
  ASSERT_TRUE(opened);
  const auto before = sys.sink_at("server.log");
  log.name_files("server.log", "");
  ASSERT_TRUE(log.open(*opened, access->fd, {}));
  log.server(Level::info, "one");
  sys.rotate("server.log");
  log.reopen();
  log.server(Level::info, "two");
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_EQ(before->text(), "INFO:     one\n");
  EXPECT_EQ(sys.sink_at("server.log")->text(), "INFO:     two\n");

  sys.fail("open_append", 1, EACCES);
  log.reopen();
  EXPECT_TRUE(log.flush(kForever));
  EXPECT_NE(sys.sink_at("server.log")->text().find("cannot be opened again"), std::string::npos);
  sys.close(*opened);
}

TEST(LogSink, DestructorWritesTheRest) {
  ScriptedSys sys;
  const auto sink = sys.open_sink();
  {
    LogSink<ScriptedEnv> log(sys);
    ASSERT_TRUE(log.open(sink->fd, -1, {}));
    log.server(Level::info, "last words");
  }
  EXPECT_EQ(sink->text(), "INFO:     last words\n");
  EXPECT_EQ(sys.open_descriptors(), 1U) << "the sink itself";
}

RC_GTEST_PROP(PropertyLogSink, WritesLinesCompleteAndInOrder, (std::uint64_t seed)) {
  ScriptedSys sys(seed);
  sys.set_short_io(*rc::gen::arbitrary<bool>());
  const auto sink = sys.open_sink();
  std::string expected;
  {
    LogSink<ScriptedEnv> log(sys);
    RC_ASSERT(static_cast<bool>(log.open(-1, sink->fd, {})));
    const int lines = *rc::gen::inRange(0, 40);
    for (int i = 0; i < lines; ++i) {
      const std::string line =
          std::to_string(i) + std::string(*rc::gen::inRange<std::size_t>(0, 600), '.') + '\n';
      log.access(line);
      expected += line;
      if (*rc::gen::inRange(0, 3) == 0) sys.sleep(std::chrono::milliseconds{1});
    }
  }
  RC_ASSERT(sink->text() == expected);
}

TEST(LogSink, WritesToARealPipeAndContinuesInAForkedChild) {
  Sys sys;
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  {
    LogSink<NativeEnv> log(sys);
    ASSERT_TRUE(log.open(writer.get(), -1, {}));
    log.server(Level::info, "parent");
    ASSERT_TRUE(log.flush(kForever));
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      log.abandon_in_child();
      log.server(Level::info, "child");
      if (log.counts().lines[1] != 1) ::_exit(2);
      ::_exit(log.flush(kForever) ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    log.server(Level::info, "parent again");
  }
  writer.reset();
  std::string text;
  std::array<std::byte, 256> part;
  for (;;) {
    const auto got = sys.read(reader.get(), part);
    ASSERT_TRUE(got);
    if (*got == 0) break;
    text.append(reinterpret_cast<const char*>(part.data()), *got);
  }
  EXPECT_EQ(text, "INFO:     parent\nINFO:     child\nINFO:     parent again\n");
}

}  // namespace
}  // namespace iotax::driver
