// iotax._iotax: the Python interface of the worker and of the log (_iotax.pyi). It decides how
// Python's threads, signals and forks reach the driver; per-request work is in call and below.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "bridge/capi/own_files.h"
#include "bridge/capi/py_error.h"
#include "bridge/capi/standard_streams.h"
#include "bridge/capi/text.h"
#include "bridge/module/process_log.h"
#include "bridge/module/py_admin.h"
#include "bridge/module/py_connection.h"
#include "bridge/module/py_scoreboard.h"
#include "bridge/module/py_statsd.h"
#include "bridge/module/stop_signals.h"
#include "bridge/module/worker_options.h"
#include "bridge/wsgi/call.h"
#include "driver/log/access_format.h"
#include "driver/log/escape.h"
#include "driver/store/spool.h"
#include "driver/worker.h"

namespace iotax::bridge {
namespace {

namespace py = pybind11;

[[noreturn]] void throw_os_error(int error) {
  errno = error;
  PyErr_SetFromErrno(PyExc_OSError);
  throw py::error_already_set();
}

driver::Stop stop_of(const std::string& how) {
  if (how == "drain") return driver::Stop::drain;
  if (how == "prompt") return driver::Stop::prompt;
  if (how == "now") return driver::Stop::now;
  throw py::value_error("how is '" + how + "'; it can be 'drain', 'prompt' or 'now'");
}

Process process_of(const std::string& whose) {
  if (whose == "application") return Process::application;
  if (whose == "server") return Process::server;
  if (whose == "worker") return Process::worker;
  throw py::value_error("process is '" + whose +
                        "'; it can be 'application', 'server' or 'worker'");
}

py::str escaped(const std::string& text) {
  std::string out;
  driver::append_escaped(out, text);
  return py::str(out);
}

/// The Worker of _iotax.pyi. Every member is called with the GIL held.
class PyWorker {
 public:
  PyWorker(py::object application, const py::sequence& listeners, const py::dict& options,
           const PyScoreboard* scoreboard, unsigned slot, int channel)
      : PyWorker(std::move(application), read_listeners(listeners),
                 options_of(options, scoreboard, slot), scoreboard, slot, channel) {}
  PyWorker(const PyWorker&) = delete;
  ~PyWorker() {
    restore_stop_signals(worker_);
    std::erase(all(), this);
  }

  void run() {
    if (std::exchange(started_, true)) throw std::runtime_error("a Worker runs once");
    caller_.leave(0);
    const driver::Result<void> served = worker_.run();
    caller_.enter(0);
    if (Ref raised = caller_.take_raised(Gil::held())) {
      restore_exception(std::move(raised));
      throw py::error_already_set();
    }
    if (!served) throw_os_error(served.error());
  }

  void run_thread(unsigned thread) {
    if (thread == 0 || thread >= worker_.threads_present()) {
      throw py::value_error("thread is " + std::to_string(thread) + "; it can be 1 to threads - 1");
    }
    caller_.leave(thread);
    worker_.run_thread(thread);
    caller_.enter(thread);
  }

  void stop(const std::string& how) {
    const driver::Stop wanted = stop_of(how);
    caller_.stopping();
    worker_.stop(wanted);
  }

  /// Wait for an event without the GIL. The scoreboard shows how long this thread then waits for
  /// the GIL.
  py::object watch() {
    std::optional<driver::WatchEvent> event;
    {
      const py::gil_scoped_release released;  // at most a few times per overdue call
      event = worker_.overdue().next_event();
    }
    worker_.overdue().app_lock_acquired();
    if (!event) return py::none();
    static constexpr std::array kKinds{"slow", "overdue", "lost"};
    return py::make_tuple(kKinds[static_cast<std::size_t>(event->kind)], event->thread,
                          caller_.thread_ident(Gil::held(), event->thread), event->word,
                          escaped(event->line), escaped(event->id),
                          std::chrono::duration<double>(event->age).count(), event->replacement);
  }

  bool expire(unsigned thread, std::uint64_t token) {
    return thread < worker_.threads_max() && worker_.overdue().expire(thread, token);
  }

  bool interrupt(unsigned thread, std::uint64_t token) {
    return thread < worker_.threads_max() && worker_.overdue().is_expired(thread, token) &&
           caller_.interrupt(Gil::held(), thread);
  }

  void suspend(unsigned thread, std::uint64_t token) {
    if (thread < worker_.threads_max()) worker_.overdue().suspend(thread, token);
  }

  void ask_for_replacement(const std::string& why) { worker_.overdue().ask_for_replacement(why); }

  void replacement_failed(unsigned lost, unsigned replacement) {
    const unsigned present = worker_.threads_present();
    if (lost >= present || replacement >= present || replacement == 0) {
      throw py::value_error("lost and replacement are the numbers that watch() gave");
    }
    worker_.overdue().replacement_failed(lost, replacement);
  }

  [[nodiscard]] int wakeup_fd() const { return worker_.wakeup_fd(); }

  void install_signals(const std::string& process) {
    const Process whose = process_of(process);
    if (whose != Process::application) caller_.own_process();
    if (const int error = install_stop_signals(worker_, caller_, whose); error != 0)
      throw_os_error(error);
  }

  void restore_signals() { restore_stop_signals(worker_); }

  [[nodiscard]] py::dict status() const {
    const driver::Status now = worker_.status();
    py::dict status;
    status["connections"] = now.connections;
    status["running"] = now.running;
    status["queued"] = now.queued;
    status["requests"] = now.requests;
    status["threads"] = now.threads;
    return status;
  }

  static void abandon_all_in_child() {
    process_log().abandon_in_child();
    own_process_log();
    drop_stop_signals_in_child();
    abandon_admins_in_child();
    int body = -1;
    for (PyWorker* const worker : all()) body = std::max(body, worker->body_of_this_thread());
    for (PyWorker* const worker : all()) {
      worker->worker_.abandon_in_child();
      worker->sys_.abandon_in_child(body);
    }
  }

 private:
  /// The child may continue to read the body of the request during which it was forked.
  [[nodiscard]] int body_of_this_thread() {
    for (unsigned thread = 0; thread < worker_.threads_max(); ++thread) {
      if (caller_.thread_ident(Gil::held(), thread) == PyThread_get_thread_ident()) {
        return worker_.body_file_of(thread);
      }
    }
    return -1;
  }

  /// The worker's number in the logs is that of its slot, from 1.
  static WorkerOptions options_of(const py::dict& given, const PyScoreboard* scoreboard,
                                  unsigned slot) {
    WorkerOptions options = read_worker_options(given);
    options.config.worker_number = slot + 1;
    options.config.counts = scoreboard != nullptr && scoreboard->is_counted();
    process_log().name_worker(slot + 1);
    return options;
  }

  struct Listener {
    int fd;
    std::string authority;
    driver::ListenerOwner owner;
    driver::FirstBytes first_bytes;
  };

  PyWorker(py::object application, const std::vector<Listener>& listeners, WorkerOptions options,
           const PyScoreboard* scoreboard, unsigned slot, int channel)
      : options_(std::move(options)),
        caller_(Gil::held(), Ref::steal(application.release().ptr()),
                driver::Scoreboard::calls_of(options_.config.threads), std::move(options_.environ),
                process_log()),
        worker_(sys_, options_.config, caller_, process_log(), {},
                PyScoreboard::slot_of(scoreboard, slot, options_.config.threads)) {
    settle_spool_dir(options_.config.spool_dir);
    if (const auto opened = worker_.open(); !opened) throw_os_error(opened.error());
    for (const Listener& listener : listeners) {
      const auto added = worker_.add_listener(listener.fd, listener.authority, listener.owner,
                                              listener.first_bytes);
      if (!added) throw_os_error(added.error());
    }
    if (channel >= 0) {
      if (const auto added = worker_.add_channel(channel); !added) throw_os_error(added.error());
    }
    all().push_back(this);
  }

  /// Replace the configured directory by the one that is used.
  void settle_spool_dir(std::string& dir) {
    if (auto found = driver::find_spool_dir(sys_, dir)) {
      dir = *std::move(found);
      return;
    }
    const std::string tried = dir.empty() ? "$TMPDIR, /tmp and /var/tmp" : dir;
    process_log().server(driver::Level::warning,
                         "No temporary file can be created in " + tried +
                             " (--spool-dir): bodies and responses stay in memory");
  }

  static std::vector<Listener> read_listeners(const py::sequence& given) {
    std::vector<Listener> listeners;
    for (const py::handle one : given) {
      auto [fd, authority, passed, proxy] = one.cast<std::tuple<int, std::string, bool, bool>>();
      listeners.push_back({fd, std::move(authority),
                           passed ? driver::ListenerOwner::other : driver::ListenerOwner::server,
                           proxy ? driver::FirstBytes::proxy_header : driver::FirstBytes::request});
    }
    return listeners;
  }

  /// The workers of this process, for the child of a fork. Accessed with the GIL held.
  static std::vector<PyWorker*>& all() {
    static std::vector<PyWorker*> workers;
    return workers;
  }

  WorkerOptions options_;
  driver::Sys sys_;
  Caller caller_;
  driver::Worker worker_;
  bool started_ = false;
};

/// Offset and text of what is wrong; None: nothing.
py::object access_format_fault(const py::str& format) {
  const auto made = driver::AccessFormat::compile(utf8(format.ptr()), false);
  const auto* const fault = std::get_if<driver::FormatFault>(&made);
  if (fault == nullptr) return py::none();
  return py::make_tuple(fault->at, py::str(fault->text));
}

py::tuple access_format_atoms() {
  const std::vector<std::string_view> names = driver::AccessFormat::atoms();
  return py::tuple(py::cast(names));
}

void open_log(int error_fd, int access_fd, const std::string& level, bool color, bool prefix,
              bool json, const std::pair<std::string, std::string>& paths, bool threads) {
  const driver::LogStyle style{
      .level = level_of(level), .color = color, .prefix = prefix, .json = json};
  process_log().name_files(paths.first, paths.second);
  if (!threads) process_log().write_in_caller();
  if (const auto opened = process_log().open(error_fd, access_fd, style); !opened) {
    throw_os_error(opened.error());
  }
}

void set_parent_death_signal(int number) {
  if (::prctl(PR_SET_PDEATHSIG, number) != 0) throw_os_error(errno);
}

void set_child_subreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) throw_os_error(errno);
}

int signal_descriptor(const py::sequence& signals) {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  for (const py::handle number : signals) {
    if (::sigaddset(&wanted, number.cast<int>()) != 0) throw_os_error(errno);
  }
  const int opened = ::signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
  if (opened < 0) throw_os_error(errno);
  return opened;
}

void log_line(const std::string& level, const py::str& text) {
  process_log().server(level_of(level), utf8(text.ptr()));
}

core::Duration bounded(double seconds) {
  return std::chrono::duration_cast<core::Duration>(
      std::chrono::duration<double>{std::clamp(seconds, 0.0, 3600.0)});
}

bool flush_streams(double timeout) {
  const py::gil_scoped_release released;  // once per process
  return flush_standard_streams(bounded(timeout));
}

bool flush_log(double patience) {
  const core::Duration bound = bounded(patience);
  const py::gil_scoped_release
      released;  // once per process and stop: not the hot path that gil.h describes
  return process_log().flush(bound);
}

}  // namespace
}  // namespace iotax::bridge

PYBIND11_MODULE(_iotax, module) {
  using namespace iotax::bridge;
  namespace py = pybind11;
  if (!init_bridge(Gil::held(), module.ptr())) throw py::error_already_set();
  module.attr("__version__") = IOTAX_VERSION;
  module.attr("llhttp_version") = IOTAX_LLHTTP_VERSION;
  own_process_log();
  define_page(module);
  define_admin(module);
  define_connection(module);
  define_statsd(module);
  // Without pybind11's metaclass, which only adds settable static properties, the class matches the
  // stub.
  py::class_<PyWorker>(module, "Worker", py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)))
      .def(py::init<py::object, const py::sequence&, const py::dict&, const PyScoreboard*, unsigned,
                    int>(),
           py::arg("application"), py::arg("listeners"), py::arg("options"), py::kw_only(),
           py::arg("scoreboard") = py::none(), py::arg("slot") = 0, py::arg("channel") = -1,
           py::keep_alive<1, 5>())
      .def("run", &PyWorker::run)
      .def("run_thread", &PyWorker::run_thread, py::arg("thread"))
      .def("stop", &PyWorker::stop, py::arg("how"))
      .def_property_readonly("wakeup_fd", &PyWorker::wakeup_fd)
      .def("install_stop_signals", &PyWorker::install_signals, py::arg("process"))
      .def("restore_stop_signals", &PyWorker::restore_signals)
      .def("watch", &PyWorker::watch)
      .def("expire", &PyWorker::expire, py::arg("thread"), py::arg("token"))
      .def("interrupt", &PyWorker::interrupt, py::arg("thread"), py::arg("token"))
      .def("suspend", &PyWorker::suspend, py::arg("thread"), py::arg("token"))
      .def("ask_for_replacement", &PyWorker::ask_for_replacement, py::arg("why"))
      .def("replacement_failed", &PyWorker::replacement_failed, py::arg("lost"),
           py::arg("replacement"))
      .def("status", &PyWorker::status);
  module.def("open_log", &open_log, py::arg("error_fd"), py::arg("access_fd"), py::kw_only(),
             py::arg("level"), py::arg("color"), py::arg("prefix"), py::arg("json") = false,
             py::arg("paths") = py::make_tuple(py::bytes(), py::bytes()),
             py::arg("threads") = true);
  module.def("access_format_fault", &access_format_fault, py::arg("format"));
  module.def("access_format_atoms", &access_format_atoms);
  module.def("reopen_log", [] { process_log().reopen(); });
  module.def("set_parent_death_signal", &set_parent_death_signal, py::arg("signal"));
  module.def("set_child_subreaper", &set_child_subreaper);
  module.def("signal_descriptor", &signal_descriptor, py::arg("signals"));
  module.def("log", &log_line, py::arg("level"), py::arg("text"));
  module.def("flush_log", &flush_log, py::arg("patience"));
  module.def("flush_standard_streams", &flush_streams, py::arg("timeout"));
  module.def("remember_own_files", &remember_own_files, py::arg("paths"));
  module.def("after_fork_in_child", &PyWorker::abandon_all_in_child);
}
