// _iotax_test: the bridge without a driver. Python tests run one request at a time through Caller
// and look at what the exchange was told.
#include <pybind11/pybind11.h>

#include <csignal>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bridge/capi/text.h"
#include "bridge/wsgi/call.h"
#include "bridge/wsgi/forwarded.h"
#include "scripted_exchange.h"
#ifdef IOTAX_TRAPS
#include "traps.h"
#endif

namespace iotax::bridge::testing {
namespace {

constexpr int kApplication = 9;  // in place of a level

class RecordingLog final : public driver::Log {
 public:
  void access(std::string_view) noexcept override {}
  void server(driver::Level level, std::string_view text,
              const driver::RequestIds& about) noexcept override {
    const std::lock_guard lock{mutex_};
    lines_.emplace_back(static_cast<int>(level), std::string{text});
    ids_.emplace_back(about.request_id, about.trace_parent);
  }
  void application(const void*, std::string_view text, bool last,
                   const driver::RequestIds& about) noexcept override {
    const std::lock_guard lock{mutex_};
    lines_.emplace_back(kApplication, std::string{text} + (last ? "\n" : ""));
    ids_.emplace_back(about.request_id, about.trace_parent);
  }
  bool flush(core::Duration) noexcept override { return true; }
  void reopen() noexcept override {}

  [[nodiscard]] std::vector<std::pair<int, std::string>> take() {
    const std::lock_guard lock{mutex_};
    return std::exchange(lines_, {});
  }
  /// Of each line: request id, traceparent.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> take_ids() {
    const std::lock_guard lock{mutex_};
    return std::exchange(ids_, {});
  }
  [[nodiscard]] bool makes_records() const noexcept override { return records; }

  bool records = false;

 private:
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> ids_;
  std::vector<std::pair<int, std::string>> lines_;
};

class Harness {
 public:
  Harness(py::object application, unsigned threads, const py::dict& options) {
    EnvironOptions environ;
    environ.multithread = threads > 1;
    environ.version = "1.2.3";
    if (options.contains("multiprocess"))
      environ.multiprocess = options["multiprocess"].cast<bool>();
    if (options.contains("server_name"))
      environ.server_name = options["server_name"].cast<std::string>();
    if (options.contains("trusted")) {
      for (const auto& entry : options["trusted"].cast<std::vector<std::string>>()) {
        if (!environ.trusted.add(entry)) throw py::value_error(entry);
      }
    }
    if (options.contains("believed")) {
      environ.believed = BelievedFields::none();
      for (const auto& entry : options["believed"].cast<std::vector<std::string>>()) {
        if (!environ.believed.add(entry)) throw py::value_error(entry);
      }
    }
    if (options.contains("logged")) {
      for (const auto& key : options["logged"].cast<std::vector<std::string>>())
        environ.logged.emplace_back(environ.logged.size(), key);
    }
    log_.records = options.contains("records") && options["records"].cast<bool>();
    caller_ = std::make_unique<Caller>(Gil::held(), Ref::steal(application.release().ptr()),
                                       threads, std::move(environ), log_);
  }

  /// Runs one request; returns how often its exchange was ended.
  int run(const py::dict& request, py::object events, unsigned thread) {
    ScriptedExchange exchange{request, std::move(events), *caller_, thread};
    caller_->call(thread, exchange);
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    return exchange.ends();
  }

  /// Runs a request `times` times without a record of it.
  void repeat(const py::dict& request, unsigned times) {
    for (unsigned i = 0; i < times; ++i) {
      ScriptedExchange exchange{request, py::none(), *caller_, 0};
      caller_->call(0, exchange);
    }
  }

  /// Runs one request while the nth allocation of Python, from 0, fails: `hook(from, to)` sees to
  /// it, until `unhook()`. Returns how often its exchange was ended.
  int run_without_memory(const py::dict& request, unsigned nth, const py::object& hook,
                         const py::object& unhook) {
    ScriptedExchange exchange{request, py::none(), *caller_, 0};
    const py::int_ from{nth};
    const py::int_ to{nth + 1};
    hook(from, to);
    caller_->call(0, exchange);
    PyObject* const done = PyObject_CallNoArgs(unhook.ptr());
    Py_XDECREF(done);
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    return exchange.ends();
  }

  [[nodiscard]] std::vector<std::pair<int, std::string>> take_log() { return log_.take(); }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> take_ids() {
    return log_.take_ids();
  }
  /// As when `number` arrives while no Python code runs in this thread.
  [[nodiscard]] bool run_signal_handlers_after(int number) {
    std::raise(number);
    return caller_->run_signal_handlers();
  }
  [[nodiscard]] bool run_signal_handlers() { return caller_->run_signal_handlers(); }
  void stopping() { caller_->stopping(); }
  /// Arms as the last act before `result` is returned: too late to be raised in C code.
  py::object interrupting(unsigned thread, py::object result) {
    if (!interrupt(thread)) throw std::runtime_error("nothing runs");
    return result;
  }
  bool interrupt(unsigned thread) { return caller_->interrupt(Gil::held(), thread); }

  [[nodiscard]] py::object take_raised() {
    Ref raised = caller_->take_raised(Gil::held());
    return raised ? py::reinterpret_steal<py::object>(raised.release()) : py::none();
  }

 private:
  RecordingLog log_;
  std::unique_ptr<Caller> caller_;
};

bool trusts(const std::vector<std::string>& trusted, const std::string& address) {
  TrustedPeers peers;
  for (const std::string& entry : trusted) {
    if (!peers.add(entry)) throw py::value_error(entry);
  }
  return peers.contains_hop(address);
}

/// What the driver is told of the client of a request from the peer at `address`; "400 " and a
/// sentence if the request is rejected.
std::string client_of(const std::vector<std::string>& trusted, const std::string& address,
                      const std::vector<std::pair<std::string, std::string>>& headers,
                      const std::vector<std::string>& believed) {
  EnvironOptions options;
  for (const std::string& entry : trusted) {
    if (!options.trusted.add(entry)) throw py::value_error(entry);
  }
  options.believed = BelievedFields::none();
  for (const std::string& entry : believed) {
    if (!options.believed.add(entry)) throw py::value_error(entry);
  }
  std::vector<core::Field> fields;
  for (const auto& [name, value] : headers) fields.push_back({name, value});
  RecordingLog log;
  const Caller caller{Gil::held(), {}, 1, options, log};
  driver::Peer peer;
  peer.remote_addr = address;
  peer.unix_socket = address.empty();
  const driver::ClientOrigin origin = caller.client_of(peer, fields);
  return origin.fault.empty() ? origin.address : "400 " + std::string(origin.fault);
}

}  // namespace
}  // namespace iotax::bridge::testing

PYBIND11_MODULE(_iotax_test, module) {
  using namespace iotax::bridge;
  using namespace iotax::bridge::testing;
  if (!init_bridge(Gil::held(), module.ptr())) throw py::error_already_set();
  py::class_<Harness>(module, "Harness")
      .def(py::init<py::object, unsigned, const py::dict&>())
      .def("run", &Harness::run)
      .def("repeat", &Harness::repeat)
      .def("run_without_memory", &Harness::run_without_memory)
      .def("take_log", &Harness::take_log)
      .def("take_ids", &Harness::take_ids)
      .def("run_signal_handlers", &Harness::run_signal_handlers)
      .def("run_signal_handlers_after", &Harness::run_signal_handlers_after)
      .def("take_raised", &Harness::take_raised)
      .def("stopping", &Harness::stopping)
      .def("interrupting", &Harness::interrupting)
      .def("interrupt", &Harness::interrupt);
  module.def("trusts", &trusts);
  module.def("client_of", &client_of);
  module.def("is_ip",
             [](const std::string& text) { return iotax::core::parse_ip(text).has_value(); });
  module.def("ip_bytes", [](const std::string& text) {
    const auto address = iotax::core::parse_ip(text).value();
    return py::bytes(reinterpret_cast<const char*>(address.data()), address.size());
  });
  module.def("percent_decoded",
             [](const std::string& text) { return py::bytes(percent_decoded(text)); });
#ifdef IOTAX_TRAPS
  module.def("overflow", [] { iotax::traps::overflow(8); });
  module.def("undefined", [] { iotax::traps::undefined(std::numeric_limits<int>::max()); });
#endif
}
