// The warning that all application threads are busy while requests wait.
#include "driver/threads/busy_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/fake_application.h"

namespace iotax {
namespace {

using namespace std::chrono_literals;
using driver::Config;
using support::Rig;
using support::ScriptedClient;

Config with_long_timeouts(unsigned threads) {
  Config config;
  config.threads = threads;
  config.queue_timeout = 200s;
  config.graceful_timeout = 200s;
  return config;
}

std::vector<std::string> about_busy(const Rig<>& rig) {
  std::vector<std::string> found;
  for (const std::string& line : rig.log.server_lines) {
    if (line.find("threads busy") != std::string::npos) found.push_back(line);
  }
  return found;
}

TEST(BusyWatch, WarnsAfterTwoSecondsAndThenEveryThirty) {
  Rig rig(with_long_timeouts(1));
  rig.slow_view(40s);
  std::vector<ScriptedClient> clients;
  rig.sys.after(10ms, [&] { clients.push_back(rig.get("/slow")); });
  for (int n = 0; n < 3; ++n) {
    rig.sys.after(500ms, [&] { clients.push_back(rig.get("/")); });
  }
  rig.sys.after(1900ms, [&] { EXPECT_TRUE(about_busy(rig).empty()); });
  rig.sys.after(2100ms, [&] {
    const std::vector<std::string> expected{
        "1 of 1 threads busy (GET /slow, 2 s); 3 requests waiting; --threads N gives more"};
    EXPECT_EQ(about_busy(rig), expected);
  });
  rig.sys.after(31900ms, [&] { EXPECT_EQ(about_busy(rig).size(), 1U); });
  rig.sys.after(32100ms, [&] {
    ASSERT_EQ(about_busy(rig).size(), 2U);
    EXPECT_EQ(about_busy(rig)[1],
              "1 of 1 threads busy (GET /slow, 32 s); 3 requests waiting; --threads N gives more");
  });
  rig.stop_after(60s);
  rig.run();
  EXPECT_EQ(about_busy(rig).size(), 2U);
}

TEST(BusyWatch, WarnsAsSoonAsARequestWaits) {
  Rig rig(with_long_timeouts(2));
  rig.slow_view(40s);
  std::vector<ScriptedClient> clients;
  rig.sys.after(10ms, [&] { clients.push_back(rig.get("/slow")); });
  rig.sys.after(1s, [&] { clients.push_back(rig.get("/slow")); });
  rig.sys.after(10500ms, [&] {
    EXPECT_TRUE(about_busy(rig).empty()) << "nobody waits";
    clients.push_back(rig.get("/"));
  });
  rig.sys.after(10600ms, [&] {
    ASSERT_EQ(about_busy(rig).size(), 1U);
    EXPECT_EQ(about_busy(rig)[0],
              "2 of 2 threads busy (GET /slow, 10 s); 1 request waiting; --threads N gives more");
  });
  rig.stop_after(60s);
  rig.run();
}

TEST(BusyWatch, DoesNotWarnWhileThreadsTakeTurns) {
  Rig rig(with_long_timeouts(2));
  rig.slow_view(1s);
  std::vector<ScriptedClient> clients;
  for (int n = 0; n < 20; ++n) {
    rig.sys.after(10ms + n * 1100ms, [&] {
      for (int m = 0; m < 2; ++m) clients.push_back(rig.get("/slow"));
    });
  }
  rig.stop_after(30s);
  rig.run();
  EXPECT_TRUE(about_busy(rig).empty());
}

}  // namespace
}  // namespace iotax
