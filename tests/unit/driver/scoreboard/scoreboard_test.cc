// The memory that other processes read: complete texts or none, and which worker has an idle
// thread.
#include "driver/scoreboard/scoreboard.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "driver/os/sys.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using core::Instant;
using driver::PrivateScoreboard;
using driver::RequestLine;
using driver::RequestText;
using driver::Scoreboard;
using driver::Sys;

void begin(const Scoreboard& scoreboard, unsigned thread, std::string_view line,
           std::string_view id, Instant now = Instant{1s}) {
  RequestLine text;
  text.assign(line);
  RequestText name;
  name.assign(id);
  scoreboard.call(0, thread).begin(text, name, now);
}

TEST(Scoreboard, ShowsTheCallThatRunsInEachThread) {
  const PrivateScoreboard memory(2);
  const Scoreboard scoreboard = memory.scoreboard();
  EXPECT_EQ(scoreboard.calls(), 3U);
  EXPECT_FALSE(scoreboard.call(0, 0).read());
  begin(scoreboard, 0, "GET /a", "1234-7", Instant{5s});
  const auto found = scoreboard.call(0, 0).read();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->line, "GET /a");
  EXPECT_EQ(found->id, "1234-7");
  EXPECT_EQ(found->since, Instant{5s});
  scoreboard.call(0, 0).end();
  EXPECT_FALSE(scoreboard.call(0, 0).read());
}

TEST(Scoreboard, CutsALineAt256Bytes) {
  const PrivateScoreboard memory(1);
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{9},
                                 std::size_t{255}, std::size_t{256}, std::size_t{257}}) {
    const std::string line(size, 'x');
    begin(memory.scoreboard(), 0, line, "id");
    EXPECT_EQ(memory.scoreboard().call(0, 0).read()->line, line.substr(0, 256));
  }
}

TEST(Scoreboard, AThreadIsFreeWhileNothingRunsInItAndItsWorkerAccepts) {
  const PrivateScoreboard memory(4);
  const Scoreboard scoreboard = memory.scoreboard();
  EXPECT_EQ(scoreboard.free_threads(0), 0U) << "nobody sits there";
  scoreboard.worker(0).serve(2);
  EXPECT_EQ(scoreboard.free_threads(0, 9), 2U);
  begin(scoreboard, 1, "GET /", "1");
  EXPECT_EQ(scoreboard.free_threads(0, 9), 1U);
  scoreboard.call(0, 0).close();
  EXPECT_EQ(scoreboard.free_threads(0, 9), 0U);
  scoreboard.clear(0);
  EXPECT_EQ(scoreboard.free_threads(0), 0U);
  EXPECT_TRUE(scoreboard.call(0, 0).free());
  EXPECT_FALSE(scoreboard.call(0, 1).running());
}

TEST(Scoreboard, AReaderGetsAWholeTextOrNone) {
  const PrivateScoreboard memory(1);
  constexpr int kEnough = 500;
  std::atomic<int> read{0};
  std::thread writer([&] {
    for (int n = 0; read.load() < kEnough; ++n) {
      const auto letter = static_cast<char>('a' + n % 26);
      begin(memory.scoreboard(), 0, std::string(static_cast<std::size_t>(n % 300), letter),
            std::string(static_cast<std::size_t>(n % 140), letter));
      if (n % 3 == 0) memory.scoreboard().call(0, 0).end();
    }
  });
  while (read.load() < kEnough) {
    const auto found = memory.scoreboard().call(0, 0).read();
    if (!found) continue;
    ++read;
    const char letter =
        found->line.empty() ? found->id.empty() ? 'a' : found->id[0] : found->line[0];
    EXPECT_EQ(found->line.find_first_not_of(letter), std::string::npos) << found->line;
    EXPECT_EQ(found->id.find_first_not_of(letter), std::string::npos) << found->id;
  }
  writer.join();
}

TEST(Scoreboard, IsReadAfterItsWriterWasKilled) {
  Sys sys;
  const std::size_t bytes = Scoreboard::bytes_of(2, 1);
  const auto memory = sys.map_shared(bytes);
  ASSERT_TRUE(memory);
  const Scoreboard scoreboard(*memory, 2, 1);
  const pid_t child = fork();
  if (child == 0) {
    scoreboard.worker(1).turn();
    RequestLine line;
    line.assign("GET /last");
    scoreboard.call(1, 0).begin(line, RequestText{}, Instant{1s});
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(scoreboard.worker(1).turns(), 1U);
  EXPECT_EQ(scoreboard.call(1, 0).read()->line, "GET /last");
  sys.unmap(*memory, bytes);
}

}  // namespace
}  // namespace iotax
