#include "driver/threads/app_threads.h"

#include <gtest/gtest.h>

#include <optional>

#include "support/thread_parts.h"

namespace iotax {
namespace {

using driver::Locked;
using driver::Loss;
using support::ThreadParts;
using support::with_threads;

TEST(AppThreads, AtMostHalfOfTheThreadsAreReplaced) {
  ThreadParts parts(with_threads(4));
  parts.locked([&](const Locked& l) {
    EXPECT_EQ(parts.threads.size(), 6U);
    EXPECT_EQ(parts.threads.present(l), 4U);
    EXPECT_EQ(parts.threads.lose(1, l), std::optional(4U));
    EXPECT_FALSE(parts.threads.half_lost(l));
    EXPECT_EQ(parts.threads.lose(2, l), std::optional(5U));
    EXPECT_TRUE(parts.threads.half_lost(l));
    EXPECT_EQ(parts.threads.lose(3, l), std::nullopt);
    EXPECT_EQ(parts.threads.present(l), 6U);
    EXPECT_FALSE(parts.threads.all_lost(l));
  });
}

TEST(AppThreads, TheOnlyThreadIsNotReplaced) {
  ThreadParts parts(with_threads(1));
  parts.locked([&](const Locked& l) {
    EXPECT_EQ(parts.threads.lose(0, l), std::nullopt);
    EXPECT_TRUE(parts.threads.all_lost(l));
  });
}

TEST(AppThreads, AReplacedThreadExitsWhenItReturns) {
  ThreadParts parts(with_threads(4));
  parts.locked([&](const Locked& l) {
    (void)parts.threads.lose(1, l);
    EXPECT_FALSE(parts.threads.come_back(1, l));
    EXPECT_EQ(parts.threads.loss(1, l), Loss::none);
    EXPECT_FALSE(parts.threads.half_lost(l));
  });
}

TEST(AppThreads, ThreadZeroContinuesWhenItReturns) {
  ThreadParts parts(with_threads(4));
  parts.locked([&](const Locked& l) {
    (void)parts.threads.lose(0, l);
    EXPECT_TRUE(parts.threads.come_back(0, l));
  });
}

TEST(AppThreads, AThreadWhoseReplacementFailedContinuesWhenItReturns) {
  ThreadParts parts(with_threads(2));
  parts.locked([&](const Locked& l) {
    const std::optional<unsigned> replacement = parts.threads.lose(1, l);
    ASSERT_TRUE(replacement);
    parts.threads.replacement_failed(1, *replacement, l);
    EXPECT_EQ(parts.threads.loss(*replacement, l), Loss::lost);
    EXPECT_TRUE(parts.threads.come_back(1, l));
  });
}

}  // namespace
}  // namespace iotax
