#include "bridge/module/py_statsd.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "bridge/module/process_log.h"
#include "driver/log/statsd.h"

namespace iotax::bridge {
namespace {

namespace py = pybind11;

/// Address, port and scope; or the path of a Unix socket.
using Receiver = std::variant<std::tuple<std::string, std::uint16_t, std::uint32_t>, py::bytes>;

std::optional<driver::SocketAddress> address_of(const Receiver& receiver) {
  if (const auto* const path = std::get_if<py::bytes>(&receiver))
    return driver::unix_address(std::string(*path));
  const auto& [address, port, scope] = std::get<0>(receiver);
  return driver::internet_address(address, port, scope);
}

/// In memory that all children share; null if there is none. Made once.
driver::WarnedAt* warned_at() {
  static driver::WarnedAt* const shared = [] {
    driver::Sys sys;
    const auto memory = sys.map_shared(sizeof(driver::WarnedAt));
    return memory ? new (*memory) driver::WarnedAt(0) : nullptr;
  }();
  return shared;
}

void open_statsd(const Receiver& receiver, std::string name, const std::string& prefix,
                 const std::string& tags) {
  const std::optional<driver::SocketAddress> address = address_of(receiver);
  if (!address) throw py::value_error("receiver is not an address");
  process_log().statsd().open({*address, std::move(name), {prefix, tags}}, process_log(),
                              warned_at());
}

}  // namespace

void define_statsd(py::module_& module) {
  module.def("open_statsd", &open_statsd, py::arg("receiver"), py::kw_only(), py::arg("name"),
             py::arg("prefix"), py::arg("tags"));
  module.def("close_statsd", [] { process_log().statsd().close(); });
  module.def("resume_statsd", [] { process_log().statsd().resume_in_child(); });
  module.def(
      "count_workers", [](unsigned count) { process_log().statsd().workers(count); },
      py::arg("count"));
  module.def("statsd_waits", [] { return process_log().statsd().is_waiting(process_log()); });
  module.def("send_statsd", [] { process_log().send_datagrams(true); });
}

}  // namespace iotax::bridge
