#include "bridge/capi/own_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <mutex>

namespace iotax::bridge {
namespace {

struct OwnFile {
  std::string path;
  dev_t device;
  ino_t inode;
};

struct OwnFiles {
  std::mutex mutex;
  pid_t owner = 0;
  std::vector<OwnFile> files;
};

OwnFiles& own_files() {
  static OwnFiles* const files =
      std::make_unique<OwnFiles>().release();  // threads may outlive static objects
  return *files;
}

}  // namespace

void remember_own_files(const std::vector<std::string>& paths) {
  OwnFiles& own = own_files();
  const std::lock_guard lock(own.mutex);
  own.owner = ::getpid();
  own.files.clear();
  for (const std::string& path : paths) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) == 0) own.files.push_back({path, found.st_dev, found.st_ino});
  }
}

void remove_own_files() noexcept {
  OwnFiles& own = own_files();
  const std::lock_guard lock(own.mutex);
  if (own.owner != ::getpid()) return;
  for (const OwnFile& file : own.files) {
    struct stat found {};
    if (::lstat(file.path.c_str(), &found) != 0) continue;
    if (found.st_dev != file.device || found.st_ino != file.inode) continue;
    if (::unlink(file.path.c_str()) != 0) (void)!::truncate(file.path.c_str(), 0);
  }
}

}  // namespace iotax::bridge
