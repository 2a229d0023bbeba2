// From client bytes and a peer address to the environ that the application gets: the core, the
// intake and the bridge in one thread, with a real interpreter, compared with environ_model.py and
// the model of http1-policy.
// Input: client.h; the second byte selects the peer instead of splits.
#include <pybind11/embed.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "bridge/capi/gil.h"
#include "bridge/wsgi/call.h"
#include "client.h"
#include "driver/in_process.h"
#include "driver/os/sys.h"
#include "runner/case.h"
#include "runner/policy_model.h"

namespace {

using namespace iotax;
namespace py = pybind11;

const driver::Peer kPeers[] = {
    {.remote_addr = "192.0.2.1",
     .remote_port = "50000",
     .local_addr = "192.0.2.2",
     .local_port = "8000"},
    {.remote_addr = "10.1.2.3", .remote_port = "1", .local_addr = "10.0.0.1", .local_port = "80"},
    {.remote_addr = "2001:db8::1",
     .remote_port = "65535",
     .local_addr = "::1",
     .local_port = "443"},
    {.remote_addr = "::ffff:10.0.0.9",
     .remote_port = "7",
     .local_addr = "::ffff:10.0.0.1",
     .local_port = "80"},
    {.remote_addr = "",
     .remote_port = "",
     .local_addr = "",
     .local_port = "",
     .unix_socket = true}};
constexpr std::string_view kTrusted[] = {"10.0.0.0/8", "2001:db8::/32", "unix"};

bridge::EnvironOptions options() {
  bridge::EnvironOptions made;
  made.version = "1";
  for (const std::string_view trusted : kTrusted) {
    if (!made.trusted.add(trusted)) std::abort();
  }
  for (const std::string_view name : {"host", "port", "prefix"}) {
    if (!made.believed.add(name)) std::abort();
  }
  return made;
}

class SilentLog final : public driver::Log {
 public:
  void access(std::string_view) noexcept override {}
  void server(driver::Level, std::string_view, const driver::RequestIds&) noexcept override {}
  void application(const void*, std::string_view, bool,
                   const driver::RequestIds&) noexcept override {}
  bool flush(core::Duration) noexcept override { return true; }
  void reopen() noexcept override {}
};

/// One interpreter for the life of the process, and the Python objects that the target calls.
class Interpreter {
 public:
  Interpreter() : alive_(config(), 0, nullptr, false) {
    module_ = py::module_::create_extension_module("fuzz_environ", nullptr, &definition_);
    if (!bridge::init_bridge(bridge::Gil::held(), module_.ptr())) throw py::error_already_set();
    py::module_::import("sys").attr("path").attr("insert")(0, IOTAX_FUZZ_DIR);
    check_ = py::module_::import("environ_model").attr("check");
    application_ = py::cpp_function([this](py::dict environ, const py::object& start_response) {
      const py::bytes content = environ["wsgi.input"].attr("read")();
      calls_.append(py::make_tuple(environ, content));
      start_response("200 OK", py::list());
      return py::tuple();
    });
  }

  [[nodiscard]] py::object application() const { return application_; }
  /// (environ, body) of each call since the last time.
  [[nodiscard]] py::list take_calls() { return std::exchange(calls_, py::list()); }
  void check(const py::handle& call, const conformance::SeenRequest& request,
             const driver::Peer& peer, std::string_view octets) const {
    py::dict due;
    for (const auto& [key, value] : request.environ) due[py::str(key)] = py::bytes(value);
    due["PATH_INFO"] = py::bytes(request.path_info);
    due["QUERY_STRING"] = py::bytes(request.query);
    const auto addresses =
        py::make_tuple(peer.remote_addr, peer.remote_port, peer.local_addr, peer.local_port);
    check_(call, due, py::bytes(request.body), addresses, py::bytes(octets));
  }

 private:
  /// The Python environment that the build uses.
  static PyConfig* config() {
    static PyConfig config;
    PyConfig_InitPythonConfig(&config);
    PyConfig_SetBytesString(&config, &config.program_name, IOTAX_FUZZ_PYTHON);
    return &config;
  }

  PyModuleDef definition_{};
  py::scoped_interpreter alive_;
  py::module_ module_;
  py::object check_;
  py::object application_;
  py::list calls_;
};

Interpreter& interpreter() {
  static auto* const one = new Interpreter;  // never finalized: the process just exits
  return *one;
}

}  // namespace

// Objects that an interpreter keeps until the end are not leaks.
extern "C" [[gnu::visibility("default")]] const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::client_input(data, size);
  if (!input) return 0;
  Interpreter& python = interpreter();
  static driver::Sys sys;
  static SilentLog log;
  driver::Config config;
  if (input->has(fuzz::kSmallLimits)) config.limits = fuzz::small_limits();
  const driver::Peer& peer = kPeers[input->cut_seed % std::size(kPeers)];
  bridge::Caller caller(bridge::Gil::held(), bridge::Ref::borrow(python.application().ptr()), 1,
                        options(), log);
  driver::InProcess<driver::NativeEnv> connection(
      sys, config, caller, log,
      {peer.remote_addr, peer.remote_port, peer.local_addr, peer.local_port, peer.unix_socket});
  connection.receive(std::as_bytes(std::span(input->octets)));
  const bool eof = input->has(fuzz::kEof);
  if (eof) connection.receive_eof();

  const auto due = conformance::meaning_of(input->octets, eof, config.limits).requests;
  const py::list calls = python.take_calls();
  try {
    if (calls.size() != due.size())
      throw std::runtime_error(std::to_string(calls.size()) +
                               " calls of the application instead of " +
                               std::to_string(due.size()));
    for (std::size_t i = 0; i < due.size(); ++i) {
      if (due[i].path_info == "/noread") continue;  // whose body the model does not know
      python.check(calls[i], due[i], peer, input->octets);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "\n%s\n  sent      %s\n  from      %s\n", error.what(),
                 conformance::escaped(input->octets).c_str(), peer.remote_addr.c_str());
    std::abort();
  }
  return 0;
}
