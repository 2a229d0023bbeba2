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
using driver::Page;
using driver::PrivatePage;
using driver::RequestLine;
using driver::RequestText;
using driver::Sys;

void begin(const Page& page, unsigned thread, std::string_view line, std::string_view id,
           Instant now = Instant{1s}) {
  RequestLine text;
  text.assign(line);
  RequestText name;
  name.assign(id);
  page.call(0, thread).begin(text, name, now);
}

TEST(Page, TellsWhatRuns) {
  const PrivatePage memory(2);
  const Page page = memory.page();
  EXPECT_EQ(page.calls(), 3U);
  EXPECT_FALSE(page.call(0, 0).read());
  begin(page, 0, "GET /a", "1234-7", Instant{5s});
  const auto found = page.call(0, 0).read();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->line, "GET /a");
  EXPECT_EQ(found->id, "1234-7");
  EXPECT_EQ(found->since, Instant{5s});
  page.call(0, 0).end();
  EXPECT_FALSE(page.call(0, 0).read());
}

TEST(Page, CutsALineAt256Bytes) {
  const PrivatePage memory(1);
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{9},
                                 std::size_t{255}, std::size_t{256}, std::size_t{257}}) {
    const std::string line(size, 'x');
    begin(memory.page(), 0, line, "id");
    EXPECT_EQ(memory.page().call(0, 0).read()->line, line.substr(0, 256));
  }
}

TEST(Page, AThreadIsFreeWhileNothingRunsInItAndItsWorkerAccepts) {
  const PrivatePage memory(4);
  const Page page = memory.page();
  EXPECT_EQ(page.free_threads(0), 0U) << "nobody sits there";
  page.seat(0).serve(2);
  EXPECT_EQ(page.free_threads(0, 9), 2U);
  begin(page, 1, "GET /", "1");
  EXPECT_EQ(page.free_threads(0, 9), 1U);
  page.call(0, 0).close();
  EXPECT_EQ(page.free_threads(0, 9), 0U);
  page.clear(0);
  EXPECT_EQ(page.free_threads(0), 0U);
  EXPECT_TRUE(page.call(0, 0).free());
  EXPECT_FALSE(page.call(0, 1).running());
}

TEST(Page, AReaderGetsAWholeTextOrNone) {
  const PrivatePage memory(1);
  constexpr int kEnough = 500;
  std::atomic<int> read{0};
  std::thread writer([&] {
    for (int n = 0; read.load() < kEnough; ++n) {
      const auto letter = static_cast<char>('a' + n % 26);
      begin(memory.page(), 0, std::string(static_cast<std::size_t>(n % 300), letter),
            std::string(static_cast<std::size_t>(n % 140), letter));
      if (n % 3 == 0) memory.page().call(0, 0).end();
    }
  });
  while (read.load() < kEnough) {
    const auto found = memory.page().call(0, 0).read();
    if (!found) continue;
    ++read;
    const char letter =
        found->line.empty() ? found->id.empty() ? 'a' : found->id[0] : found->line[0];
    EXPECT_EQ(found->line.find_first_not_of(letter), std::string::npos) << found->line;
    EXPECT_EQ(found->id.find_first_not_of(letter), std::string::npos) << found->id;
  }
  writer.join();
}

TEST(Page, IsReadAfterItsWriterWasKilled) {
  Sys sys;
  const std::size_t bytes = Page::bytes_of(2, 1);
  const auto memory = sys.map_shared(bytes);
  ASSERT_TRUE(memory);
  const Page page(*memory, 2, 1);
  const pid_t child = fork();
  if (child == 0) {
    page.seat(1).turn();
    RequestLine line;
    line.assign("GET /last");
    page.call(1, 0).begin(line, RequestText{}, Instant{1s});
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(page.seat(1).turns(), 1U);
  EXPECT_EQ(page.call(1, 0).read()->line, "GET /last");
  sys.unmap(*memory, bytes);
}

}  // namespace
}  // namespace iotax
