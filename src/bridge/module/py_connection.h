// _iotax.Connection: a client connection of driver/in_process.h that calls a Python application.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <utility>

#include "bridge/module/python_log.h"
#include "bridge/module/worker_options.h"
#include "bridge/wsgi/call.h"
#include "driver/in_process.h"
#include "driver/os/sys.h"

namespace iotax::bridge {

/// Every member is called with the GIL held; errors are Python exceptions.
class PyConnection {
 public:
  using Address = std::pair<std::string, unsigned>;

  /// An empty `log_level` selects the process's log.
  PyConnection(pybind11::object application, const pybind11::dict& options, const Address& remote,
               const Address& local, const std::string& log_level);
  PyConnection(const PyConnection&) = delete;

  void receive(const pybind11::bytes& data);
  void receive_eof();
  void disconnect() noexcept { connection_.disconnect(); }
  [[nodiscard]] pybind11::bytes take_output() { return connection_.take_output(); }
  [[nodiscard]] const char* closing() const noexcept;

 private:
  class Running;

  [[nodiscard]] driver::Log& log() noexcept;

  WorkerOptions options_;
  driver::Sys sys_;
  std::optional<PythonLog> own_log_;
  Caller caller_;
  driver::InProcess<driver::NativeEnv> connection_;
  bool running_ = false;
};

void define_connection(pybind11::module_& module);

}  // namespace iotax::bridge
