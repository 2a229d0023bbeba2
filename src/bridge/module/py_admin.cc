#include "bridge/module/py_admin.h"

#include <pybind11/stl.h>

#include <cerrno>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "admin/server.h"
#include "bridge/module/process_log.h"
#include "bridge/module/py_scoreboard.h"

namespace iotax::bridge {
namespace {

namespace py = pybind11;

void check(const driver::Result<void>& result) {
  if (result) return;
  errno = result.error();
  PyErr_SetFromErrno(PyExc_OSError);
  throw py::error_already_set();
}

/// Every member is called with the GIL held.
class PyAdmin {
 public:
  PyAdmin(const PyScoreboard& scoreboard, const py::sequence& listeners, std::string python,
          std::vector<std::string> urls, bool shows_requests, int channel)
      : server_(scoreboard.counted(),
                admin::About{{IOTAX_VERSION, std::move(python)}, std::move(urls), shows_requests},
                process_log()) {
    check(server_.open());
    for (const py::handle one : listeners) {
      auto [fd, authority, passed, proxy] = one.cast<std::tuple<int, std::string, bool, bool>>();
      check(server_.add_listener(
          fd, std::move(authority),
          passed ? driver::ListenerOwner::other : driver::ListenerOwner::server));
    }
    if (channel >= 0) check(server_.add_channel(channel));
    all().push_back(this);
  }
  PyAdmin(const PyAdmin&) = delete;
  ~PyAdmin() {
    server_.stop();  // its thread needs no GIL
    std::erase(all(), this);
  }

  void run() {
    driver::Result<void> served;
    {
      const py::gil_scoped_release released;  // once per process
      served = server_.run();
    }
    check(served);
  }
  void start() { check(server_.start()); }
  void stop() {
    const py::gil_scoped_release released;  // once per process
    server_.stop();
  }

  static void abandon_all() {
    for (PyAdmin* const admin : all()) admin->server_.abandon_in_child();
  }

 private:
  /// Those of this process. Accessed with the GIL held.
  static std::vector<PyAdmin*>& all() {
    static std::vector<PyAdmin*> admins;
    return admins;
  }

  admin::AdminServer server_;
};

}  // namespace

void define_admin(py::module_& module) {
  py::class_<PyAdmin>(module, "Admin", py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)))
      .def(py::init<const PyScoreboard&, const py::sequence&, std::string, std::vector<std::string>,
                    bool, int>(),
           py::arg("scoreboard"), py::arg("listeners"), py::kw_only(), py::arg("python"),
           py::arg("urls"), py::arg("shows_requests"), py::arg("channel") = -1,
           py::keep_alive<1, 2>())
      .def("run", &PyAdmin::run)
      .def("start", &PyAdmin::start)
      .def("stop", &PyAdmin::stop);
}

void abandon_admins_in_child() { PyAdmin::abandon_all(); }

}  // namespace iotax::bridge
