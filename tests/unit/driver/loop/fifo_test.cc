#include "driver/loop/fifo.h"

#include <gtest/gtest.h>

namespace iotax {
namespace {

TEST(Fifo, ReturnsItemsInOrderOfArrival) {
  driver::Fifo<int> fifo;
  for (int n = 0; n < 3000; ++n) fifo.push(n);
  EXPECT_EQ(fifo.size(), 3000U);
  for (int n = 0; n < 3000; ++n) {
    EXPECT_EQ(fifo.front(), n);
    EXPECT_EQ(fifo.pop(), n);
  }
  EXPECT_TRUE(fifo.empty());
}

TEST(Fifo, KeepsTheOrderWhenItIsFilledAndEmptiedAlternately) {
  driver::Fifo<int> fifo;
  int in = 0;
  int out = 0;
  for (int round = 0; round < 5000; ++round) {
    fifo.push(in++);
    fifo.push(in++);
    EXPECT_EQ(fifo.pop(), out++);
  }
  while (!fifo.empty()) EXPECT_EQ(fifo.pop(), out++);
  EXPECT_EQ(in, out);
}

TEST(Fifo, PutsAnItemBackInFront) {
  driver::Fifo<int> fifo;
  fifo.push(1);
  fifo.push(2);
  EXPECT_EQ(fifo.pop(), 1);
  fifo.push_front(3);
  fifo.push_front(4);
  EXPECT_EQ(fifo.pop(), 4);
  EXPECT_EQ(fifo.pop(), 3);
  EXPECT_EQ(fifo.pop(), 2);
}

}  // namespace
}  // namespace iotax
