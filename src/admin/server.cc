#include "admin/server.h"

#include <chrono>
#include <utility>

namespace iotax::admin {
namespace {

driver::Config make_config() {
  driver::Config config;
  config.limits.head_bytes_max = 8 * 1024;
  config.limits.field_line_bytes_max = 8 * 1024;
  config.limits.body_bytes_max = 1;  // 0 would be no limit
  config.connections_max = 64;
  config.queued_max = 64;
  config.access_log = false;
  config.counts = true;  // its loop turns once a second, so that it notices a freeze
  config.graceful_timeout = std::chrono::seconds{1};
  return config;
}

}  // namespace

AdminServer::AdminServer(const driver::Scoreboard& scoreboard, About about, driver::Log& log)
    : config_(make_config()),
      own_(config_.threads),
      application_(scoreboard, std::move(about), [this] { return now(); }),
      worker_(sys_, config_, application_, log, {}, driver::Slot{own_.scoreboard(), 0}) {}

driver::Result<void> AdminServer::start() {
  auto started = sys_.start_thread("iotax-admin", [this] { (void)worker_.run(); });
  if (!started) return driver::Errno{started.error()};
  thread_ = std::move(*started);
  return {};
}

void AdminServer::stop() noexcept {
  if (!thread_.joinable()) return;
  worker_.stop(driver::Stop::prompt);
  thread_.join();
}

void AdminServer::abandon_in_child() noexcept {
  worker_.abandon_in_child();
  sys_.abandon_in_child(-1);
  thread_.forget();
}

Now AdminServer::now() noexcept {
  const core::Duration left_out = sys_.left_out();
  return {sys_.now() + left_out, sys_.unix_time(), left_out};
}

}  // namespace iotax::admin
