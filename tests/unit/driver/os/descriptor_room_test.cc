// Descriptors above the soft limit, and the list of those that a forked child closes: with real
// ones.
#include "driver/os/descriptor_room.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <vector>

#include "driver/os/own_descriptors.h"
#include "driver/os/sys.h"
#include "driver/os/unique_fd.h"
#include "support/is_open.h"

namespace iotax::driver {
namespace {

using support::is_open;

constexpr int kSoft = 200;

/// A soft limit of kSoft below the hard one, for one test.
class DescriptorRoom : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    if (before_.rlim_max < 2 * kSoft) GTEST_SKIP() << "the hard limit is " << before_.rlim_max;
    const rlimit low{kSoft, before_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    limit_ = sys_.descriptor_limit();
  }
  void TearDown() override {
    for (const int fd : opened_) sys_.close(fd);
    const rlimit full{before_.rlim_max, before_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &full), 0);
    (void)sys_.descriptor_limit();  // the limit cannot be raised further, as in other tests
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0);
  }

  void open_files(int count) {
    for (int i = 0; i < count; ++i) {
      const auto fd = sys_.open_temporary("/tmp");
      ASSERT_TRUE(fd) << "file " << i << ": " << fd.error();
      opened_.push_back(*fd);
    }
  }
  static rlim_t soft_limit() {
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_cur;
  }

  Sys sys_;
  rlimit before_{};
  std::size_t limit_ = 0;
  std::vector<int> opened_;
};

TEST_F(DescriptorRoom, GivesDescriptorsAboveTheLimitAndKeepsTheLimit) {
  EXPECT_GE(limit_, 2U * kSoft);
  open_files(kSoft + 50);
  EXPECT_EQ(soft_limit(), static_cast<rlim_t>(kSoft));
  for (const int fd : opened_) {
    EXPECT_TRUE(fd < kSoft / 2 || fd >= kSoft) << fd << " lies in the application's half";
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
  }
  const UniqueFd of_the_application(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(of_the_application) << "the application has room";
}

TEST_F(DescriptorRoom, FindsDescriptorsWhenTheApplicationUsesAll) {
  std::vector<UniqueFd> taken;
  for (;;) {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd) break;
    taken.push_back(std::move(fd));
  }
  open_files(3);
  EXPECT_GE(opened_.front(), kSoft);
  EXPECT_EQ(soft_limit(), static_cast<rlim_t>(kSoft));
}

TEST_F(DescriptorRoom, FollowsALimitThatTheApplicationHasChanged) {
  open_files(kSoft);
  const rlimit other{kSoft + 40, before_.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &other), 0);
  open_files(1);
  EXPECT_EQ(soft_limit(), other.rlim_cur);
}

TEST_F(DescriptorRoom, AChildForkedWhileTheLimitIsRaisedLowersIt) {
  const RaisedLimit raised;
  ASSERT_TRUE(raised);
  EXPECT_GT(soft_limit(), static_cast<rlim_t>(kSoft));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    restore_descriptor_limit_in_child();
    ::_exit(soft_limit() == kSoft ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(OwnDescriptors, AChildClosesAllDescriptorsOfSysExceptOne) {
  Sys sys;
  const auto pipe = sys.pipe();
  const auto file = sys.open_temporary("/tmp");
  const auto kept = sys.open_temporary("/tmp");
  const auto sent = sys.duplicate_file(*file);
  const auto log = sys.duplicate(2);
  ASSERT_TRUE(pipe && file && kept && sent && log);
#if IOTAX_LINUX
  const auto epoll = sys.epoll_create();
  ASSERT_TRUE(epoll);
#endif
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    sys.abandon_in_child(*kept);
    bool right = !is_open(pipe->read) && !is_open(pipe->write) && !is_open(*file) &&
                 !is_open(*sent) && is_open(*kept) && is_open(*log);
#if IOTAX_LINUX
    right = right && !is_open(*epoll);
#endif
    const int mine = ::open("/dev/null", O_RDONLY);  // gets one of the numbers
    sys.close(mine);
    right = right && is_open(mine);
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  for (const int fd : {pipe->read, pipe->write, *file, *kept, *log}) sys.close(fd);
  const int number = *sent;
  { const UniqueFd closed_by_its_owner(number); }
  EXPECT_FALSE(own_descriptors().contains(number));
#if IOTAX_LINUX
  sys.close(*epoll);
  EXPECT_FALSE(own_descriptors().contains(*epoll));
#endif
}

}  // namespace
}  // namespace iotax::driver
