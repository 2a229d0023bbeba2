#include "bridge/process_log.h"

#include <memory>

namespace iotax::bridge {
namespace {

struct ProcessLog {
  driver::Sys sys;
  driver::LogSink<driver::Sys> sink{sys};
};

}  // namespace

driver::LogSink<driver::Sys>& process_log() {
  static ProcessLog* const log = std::make_unique<ProcessLog>().release();  // never destroyed
  return log->sink;
}

}  // namespace iotax::bridge
