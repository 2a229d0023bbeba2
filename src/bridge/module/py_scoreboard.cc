#include "bridge/module/py_scoreboard.h"

#include <pybind11/stl.h>

#include <cerrno>
#include <chrono>
#include <string>

#include "bridge/module/process_log.h"
#include "driver/log/escape.h"

namespace iotax::bridge {
namespace {

namespace py = pybind11;

constexpr unsigned kSlotsMax = 4096;
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

PyScoreboard::PyScoreboard(unsigned slots, unsigned threads, bool counted)
    : bytes_(driver::Scoreboard::bytes_of(bounded("slots", slots, kSlotsMax),
                                          bounded("threads", threads, kThreadsMax), counted)),
      scoreboard_(map(sys_, bytes_), slots, threads, counted) {
  if (driver::ServerEntry* const server = scoreboard_.server()) {
    server->started.set(sys_.unix_time().count());
    server->process_id.set(static_cast<std::uint64_t>(sys_.process_id()));
  }
}

PyScoreboard::~PyScoreboard() { sys_.unmap(scoreboard_.memory(), bytes_); }

py::list PyScoreboard::calls(unsigned slot) const {
  py::list calls;
  for (unsigned n = 0; n < scoreboard_.calls(); ++n) {
    const std::optional<driver::Running> found = scoreboard_.call(check(slot), n).read();
    if (!found) continue;
    std::string line;
    std::string id;
    driver::append_escaped(line, found->line);
    driver::append_escaped(id, found->id);
    calls.append(py::make_tuple(line, id, seconds_since(slot, found->since)));
  }
  return calls;
}

std::uint64_t PyScoreboard::turns(unsigned slot) const {
  return scoreboard_.worker(check(slot)).turns();
}

double PyScoreboard::gil_stuck(unsigned slot) const {
  const core::Instant since = scoreboard_.worker(check(slot)).waits_for_app_lock_since();
  return since == core::Instant{} ? 0.0 : seconds_since(slot, since);
}

void PyScoreboard::watch(unsigned slot, bool on) const {
  scoreboard_.worker(check(slot)).watch(on);
}

void PyScoreboard::clear(unsigned slot) const { scoreboard_.clear(check(slot)); }

const driver::Scoreboard& PyScoreboard::counted() const {
  if (!is_counted()) throw py::value_error("this Scoreboard is not counted");
  return scoreboard_;
}

void PyScoreboard::publish(std::uint64_t wanted, std::uint64_t starts,
                           const std::vector<std::uint64_t>& exits, bool has_served, bool stopping,
                           bool supervised, const std::vector<int>& listeners) const {
  driver::ServerEntry& server = *counted().server();
  if (!exits.empty() && exits.size() != server.exits.size()) {
    throw py::value_error("exits has " + std::to_string(exits.size()) + " numbers; there are " +
                          std::to_string(server.exits.size()) + " causes");
  }
  for (std::size_t n = 0; n < exits.size(); ++n) server.exits[n].set(exits[n]);
  server.workers_wanted.set(wanted);
  server.starts.set(starts);
  server.has_served.set(has_served ? 1 : 0);
  server.stopping.set(stopping ? 1 : 0);
  if (!supervised) return;  // a worker does the rest for this process
  server.stamp.set((sys_.now() + sys_.left_out()).time_since_epoch().count());
  driver::LogCounts published;
  server.logs.add_to(published);
  server.logs.add(process_log().counts(), published);
  for (std::size_t n = 0; n < server.backlogs.size(); ++n) {
    const driver::Result<std::size_t> waiting =
        n < listeners.size() ? sys_.backlog(listeners[n]) : driver::Errno{EBADF};
    server.backlogs[n].set(waiting ? std::optional<std::uint64_t>(*waiting) : std::nullopt);
  }
}

void PyScoreboard::publish_worker(unsigned slot, const std::string& state, std::uint64_t pid,
                                  double age) const {
  using driver::WorkerState;
  WorkerState known = WorkerState::none;
  if (state == "booting") {
    known = WorkerState::booting;
  } else if (state == "ready") {
    known = WorkerState::ready;
  } else if (state == "draining") {
    known = WorkerState::draining;
  } else if (state != "none") {
    throw py::value_error("state is '" + state +
                          "'; it can be 'none', 'booting', 'ready' or 'draining'");
  }
  driver::WorkerRecord& record = *counted().record(check(slot));
  const auto before = static_cast<WorkerState>(record.state.get());
  if (before == WorkerState::none || record.process_id.get() != pid) {
    const std::chrono::duration<double> since{age};
    record.started.set(
        (sys_.unix_time() - std::chrono::duration_cast<core::Duration>(since)).count());
    record.process_id.set(pid);
  }
  record.state.set(static_cast<std::uint64_t>(known));
  driver::ServerEntry& server = *scoreboard_.server();
  if (slot >= server.slots_used.get()) server.slots_used.set(slot + 1);
}

std::optional<driver::Slot> PyScoreboard::slot_of(const PyScoreboard* scoreboard, unsigned slot,
                                                  unsigned threads) {
  if (scoreboard == nullptr) return std::nullopt;
  if (threads > scoreboard->scoreboard_.threads()) {
    throw py::value_error("option threads is " + std::to_string(threads) +
                          "; the scoreboard has room for " +
                          std::to_string(scoreboard->scoreboard_.threads()));
  }
  return driver::Slot{scoreboard->scoreboard_, scoreboard->check(slot)};
}

unsigned PyScoreboard::check(unsigned slot) const {
  if (slot < scoreboard_.slots()) return slot;
  throw py::value_error("slot is " + std::to_string(slot) + "; the scoreboard has " +
                        std::to_string(scoreboard_.slots()));
}

double PyScoreboard::seconds_since(unsigned slot, core::Instant then) const {
  return std::chrono::duration<double>(scoreboard_.worker(slot).since(then, sys_.now())).count();
}

void define_page(py::module_& module) {
  py::class_<PyScoreboard>(module, "Scoreboard",
                           py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)))
      .def(py::init<unsigned, unsigned, bool>(), py::arg("slots"), py::arg("threads"),
           py::arg("counted") = false)
      .def("calls", &PyScoreboard::calls, py::arg("slot"))
      .def("turns", &PyScoreboard::turns, py::arg("slot"))
      .def("gil_stuck", &PyScoreboard::gil_stuck, py::arg("slot"))
      .def("watch", &PyScoreboard::watch, py::arg("slot"), py::arg("on"))
      .def("clear", &PyScoreboard::clear, py::arg("slot"))
      .def("publish", &PyScoreboard::publish, py::kw_only(), py::arg("wanted"), py::arg("starts"),
           py::arg("exits"), py::arg("has_served"), py::arg("stopping"), py::arg("supervised"),
           py::arg("listeners"))
      .def("publish_worker", &PyScoreboard::publish_worker, py::arg("slot"), py::arg("state"),
           py::arg("pid"), py::arg("age"));
}

}  // namespace iotax::bridge
