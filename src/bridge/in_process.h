// _iotax.Connection: a client's connection of driver/in_process.h, with an application of Python.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <utility>

#include "bridge/call.h"
#include "bridge/worker_options.h"
#include "driver/in_process.h"
#include "driver/sys.h"

namespace iotax::bridge {

/// Every member is called with the GIL; errors are Python exceptions.
class PyConnection {
 public:
  using Address = std::pair<std::string, unsigned>;

  PyConnection(pybind11::object application, const pybind11::dict& options, Address remote,
               Address local);
  PyConnection(const PyConnection&) = delete;

  void receive(const pybind11::bytes& data);
  void receive_eof();
  void disconnect() noexcept { connection_.disconnect(); }
  [[nodiscard]] pybind11::bytes take_output() { return connection_.take_output(); }
  [[nodiscard]] const char* closing() const noexcept;

 private:
  class Running;

  WorkerOptions options_;
  driver::Sys sys_;
  Caller caller_;
  driver::InProcess<driver::Sys> connection_;
  bool running_ = false;
};

void define_connection(pybind11::module_& module);

}  // namespace iotax::bridge
