// Serves the AdminApplication: a worker of the driver with one application thread, run by its
// caller or in a thread of its own. It decides the limits of the listener.
#pragma once

#include <string>

#include "admin/application.h"
#include "driver/config.h"
#include "driver/log/log.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/worker.h"

namespace iotax::admin {

class AdminServer {
 public:
  /// `log` and the memory of `scoreboard`, which is counted, are borrowed.
  AdminServer(const driver::Scoreboard& scoreboard, About about, driver::Log& log);
  AdminServer(const AdminServer&) = delete;
  /// Stops the thread of start().
  ~AdminServer() { stop(); }

  // ---- before run() or start(). Errors: those of the kernel
  [[nodiscard]] driver::Result<void> open() { return worker_.open(); }
  /// The server owns a duplicate of the descriptor.
  [[nodiscard]] driver::Result<void> add_listener(int fd, std::string authority,
                                                  driver::ListenerOwner owner) {
    return worker_.add_listener(fd, std::move(authority), owner);
  }
  /// Follow the orders of a supervisor (loop/channel.h), and stop when it has exited.
  [[nodiscard]] driver::Result<void> add_channel(int fd) { return worker_.add_channel(fd); }

  /// Serve in this thread until the channel says to stop.
  [[nodiscard]] driver::Result<void> run() { return worker_.run(); }
  /// Serve in a native thread until stop().
  [[nodiscard]] driver::Result<void> start();
  /// Returns when the thread has ended. Can be called again.
  void stop() noexcept;
  /// For the child of a fork. Its descriptors are closed.
  void abandon_in_child() noexcept;

 private:
  [[nodiscard]] Now now() noexcept;

  driver::Sys sys_;
  const driver::Config config_;
  driver::PrivateScoreboard own_;  // of the worker that serves this listener
  AdminApplication application_;
  driver::Worker worker_;
  driver::Sys::Thread thread_;
};

}  // namespace iotax::admin
