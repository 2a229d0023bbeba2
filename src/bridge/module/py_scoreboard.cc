#include "bridge/module/py_scoreboard.h"

#include <cerrno>
#include <chrono>
#include <string>

#include "driver/log/access_line.h"

namespace iotax::bridge {
namespace {

namespace py = pybind11;

constexpr unsigned kSeatsMax = 4096;
constexpr unsigned kThreadsMax = 4096;

unsigned bounded(const char* name, unsigned value, unsigned most) {
  if (value >= 1 && value <= most) return value;
  throw py::value_error(std::string{name} + " is " + std::to_string(value) + "; it can be 1 to " +
                        std::to_string(most));
}

std::byte* map(driver::Sys& sys, std::size_t bytes) {
  const driver::Result<std::byte*> memory = sys.map_shared(bytes);
  if (memory) return *memory;
  errno = memory.error();
  PyErr_SetFromErrno(PyExc_OSError);
  throw py::error_already_set();
}

}  // namespace

PyPage::PyPage(unsigned seats, unsigned threads)
    : bytes_(driver::Page::bytes_of(bounded("seats", seats, kSeatsMax),
                                    bounded("threads", threads, kThreadsMax))),
      page_(map(sys_, bytes_), seats, threads) {}

PyPage::~PyPage() { sys_.unmap(page_.memory(), bytes_); }

py::list PyPage::calls(unsigned seat) const {
  py::list calls;
  for (unsigned n = 0; n < page_.calls(); ++n) {
    const std::optional<driver::Running> found = page_.call(check(seat), n).read();
    if (!found) continue;
    std::string line;
    std::string id;
    driver::append_escaped(line, found->line);
    driver::append_escaped(id, found->id);
    calls.append(py::make_tuple(line, id, seconds_since(seat, found->since)));
  }
  return calls;
}

std::uint64_t PyPage::turns(unsigned seat) const { return page_.seat(check(seat)).turns(); }

double PyPage::gil_stuck(unsigned seat) const {
  const core::Instant since = page_.seat(check(seat)).waits_for_app_lock_since();
  return since == core::Instant{} ? 0.0 : seconds_since(seat, since);
}

void PyPage::watch(unsigned seat, bool on) const { page_.seat(check(seat)).watch(on); }

void PyPage::clear(unsigned seat) const { page_.clear(check(seat)); }

std::optional<driver::Place> PyPage::place_of(const PyPage* page, unsigned seat, unsigned threads) {
  if (page == nullptr) return std::nullopt;
  if (threads > page->page_.threads()) {
    throw py::value_error("option threads is " + std::to_string(threads) +
                          "; the page has room for " + std::to_string(page->page_.threads()));
  }
  return driver::Place{page->page_, page->check(seat)};
}

unsigned PyPage::check(unsigned seat) const {
  if (seat < page_.seats()) return seat;
  throw py::value_error("seat is " + std::to_string(seat) + "; the page has " +
                        std::to_string(page_.seats()));
}

double PyPage::seconds_since(unsigned seat, core::Instant then) const {
  return std::chrono::duration<double>(page_.seat(seat).since(then, sys_.now())).count();
}

void define_page(py::module_& module) {
  py::class_<PyPage>(module, "Page", py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)))
      .def(py::init<unsigned, unsigned>(), py::arg("seats"), py::arg("threads"))
      .def("calls", &PyPage::calls, py::arg("seat"))
      .def("turns", &PyPage::turns, py::arg("seat"))
      .def("gil_stuck", &PyPage::gil_stuck, py::arg("seat"))
      .def("watch", &PyPage::watch, py::arg("seat"), py::arg("on"))
      .def("clear", &PyPage::clear, py::arg("seat"));
}

}  // namespace iotax::bridge
