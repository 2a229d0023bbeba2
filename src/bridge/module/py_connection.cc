#include "bridge/module/py_connection.h"

#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "bridge/module/process_log.h"

namespace iotax::bridge {
namespace {

namespace py = pybind11;

WorkerOptions options_of(const py::dict& given) {
  WorkerOptions options = read_worker_options(given);
  options.config.threads = 1;
  options.config.slow_request =
      options.config.request_timeout = {};  // no thread watches the deadlines
  options.environ.multithread = false;
  return options;
}

driver::Peer peer_of(const PyConnection::Address& remote, const PyConnection::Address& local) {
  return {.remote_addr = remote.first,
          .remote_port = std::to_string(remote.second),
          .local_addr = local.first,
          .local_port = std::to_string(local.second)};
}

}  // namespace

/// Prevents the application from using the connection that has called it.
class PyConnection::Running {
 public:
  explicit Running(PyConnection& connection) : connection_(connection) {
    if (std::exchange(connection.running_, true))
      throw std::runtime_error("the connection is used by the application that it calls");
  }
  Running(const Running&) = delete;
  ~Running() { connection_.running_ = false; }

 private:
  PyConnection& connection_;
};

PyConnection::PyConnection(py::object application, const py::dict& options, const Address& remote,
                           const Address& local, const std::string& log_level)
    : options_(options_of(options)),
      own_log_(log_level.empty() ? std::nullopt : std::optional(PythonLog(level_of(log_level)))),
      caller_(Gil::held(), Ref::steal(application.release().ptr()), 1, options_.environ, log()),
      connection_(sys_, options_.config, caller_, log(), peer_of(remote, local)) {}

driver::Log& PyConnection::log() noexcept {
  if (own_log_) return *own_log_;
  return process_log();
}

void PyConnection::receive(const py::bytes& data) {
  const Running running(*this);
  const std::string_view text = data;
  connection_.receive(std::as_bytes(std::span(text)));
}

void PyConnection::receive_eof() {
  const Running running(*this);
  connection_.receive_eof();
}

const char* PyConnection::closing() const noexcept {
  switch (connection_.closing()) {
    case core::Closing::no:
      return "no";
    case core::Closing::after_flush:
      return "after_flush";
    case core::Closing::reset:
      return "reset";
  }
  return "no";
}

void define_connection(py::module_& module) {
  const auto here = [](unsigned port) { return PyConnection::Address{"127.0.0.1", port}; };
  py::class_<PyConnection>(module, "Connection",
                           py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)))
      .def(py::init<py::object, const py::dict&, const PyConnection::Address&,
                    const PyConnection::Address&, const std::string&>(),
           py::arg("application"), py::arg("options"), py::kw_only(),
           py::arg("remote") = here(50000), py::arg("local") = here(8000),
           py::arg("log_level") = "")
      .def("receive", &PyConnection::receive, py::arg("data"))
      .def("receive_eof", &PyConnection::receive_eof)
      .def("disconnect", &PyConnection::disconnect)
      .def("take_output", &PyConnection::take_output)
      .def_property_readonly("closing", &PyConnection::closing);
}

}  // namespace iotax::bridge
