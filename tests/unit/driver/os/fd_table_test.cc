// The table of own descriptors, with real ones and a real fork.
#include "driver/os/fd_table.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "driver/os/sys.h"
#include "support/is_open.h"

namespace iotax::driver {
namespace {

using support::is_open;

TEST(FdTable, NotesDescriptorsInItsRange) {
  FdTable table;
  EXPECT_FALSE(table.add(-1));
  EXPECT_FALSE(table.add(FdTable::kFdsMax));
  EXPECT_TRUE(table.add(FdTable::kFdsMax - 1));
  EXPECT_TRUE(table.contains(FdTable::kFdsMax - 1));
  table.remove(FdTable::kFdsMax - 1);
  table.remove(FdTable::kFdsMax);
  EXPECT_FALSE(table.contains(FdTable::kFdsMax - 1));
  EXPECT_FALSE(table.contains(-1));
}

TEST(FdTable, AChildClosesExactlyTheNotedDescriptors) {
  Sys sys;
  const auto noted = sys.pipe();
  const auto others = sys.pipe();
  ASSERT_TRUE(noted && others);
  FdTable table;
  table.add(noted->read);
  table.add(noted->write);
  table.add(others->read);
  table.remove(others->read);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    table.close_all();
    const bool right = !is_open(noted->read) && !is_open(noted->write) && is_open(others->read) &&
                       is_open(others->write) && !table.contains(noted->read);
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(is_open(noted->read)) << "the parent keeps its own";
  for (const int fd : {noted->read, noted->write, others->read, others->write}) sys.close(fd);
}

}  // namespace
}  // namespace iotax::driver
