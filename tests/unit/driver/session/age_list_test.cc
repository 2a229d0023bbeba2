// The order in which sessions became idle.
#include "driver/session/age_list.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace iotax::driver {
namespace {

struct Entry : AgeEntry<Entry> {};

core::Instant at(int seconds) { return core::Instant{std::chrono::seconds{seconds}}; }

TEST(AgeList, ReturnsTheOldestEntryFirst) {
  std::array<Entry, 4> entries;
  AgeList<Entry> list;
  for (int n = 0; n < 4; ++n) list.renew(entries.at(static_cast<std::size_t>(n)), at(n));
  list.renew(entries[0], at(4));
  list.renew(entries[0], at(5));
  AgeList<Entry>::remove(entries[2]);
  std::vector<Entry*> order;
  while (Entry* const entry = list.oldest()) {
    order.push_back(entry);
    AgeList<Entry>::remove(*entry);
  }
  EXPECT_EQ(order, (std::vector<Entry*>{&entries[1], &entries[3], &entries[0]}));
  EXPECT_EQ(list.youngest(), nullptr);
}

TEST(AgeList, InsertsInOrderOfAge) {
  std::array<Entry, 3> entries;
  AgeList<Entry> list;
  list.renew(entries[0], at(1));
  list.renew(entries[1], at(5));
  list.insert(entries[2], at(3));
  EXPECT_EQ(entries[0].younger, &entries[2]);
  EXPECT_EQ(entries[1].older, &entries[2]);
  list.insert(entries[2], at(0));
  EXPECT_EQ(list.oldest(), &entries[2]);
  list.insert(entries[2], at(9));
  EXPECT_EQ(list.youngest(), &entries[2]);
  EXPECT_EQ(list.oldest(), &entries[0]);
}

TEST(AgeList, InsertingRemovesAnEntryFromItsFormerList) {
  Entry entry;
  AgeList<Entry> one;
  AgeList<Entry> other;
  one.renew(entry, at(1));
  other.renew(entry, at(2));
  EXPECT_EQ(one.oldest(), nullptr);
  EXPECT_EQ(other.oldest(), &entry);
  EXPECT_EQ(entry.in_list, &other);
}

}  // namespace
}  // namespace iotax::driver
