#include "bridge/module/worker_options.h"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>

namespace iotax::bridge {
namespace {

namespace py = pybind11;

constexpr double kSecondsMax = 1e9;  // thirty years; more would not fit a Duration
constexpr std::int64_t kThreadsMax = 4096;

/// Reads the options one by one; at the end it knows which keys were not read.
class Reader {
 public:
  explicit Reader(const py::dict& options) : options_(options) {}

  template <class T>
  void integer(const char* name, T& into, std::int64_t least = 0,
               std::int64_t most = std::numeric_limits<std::int64_t>::max()) {
    const py::handle value = get(name);
    if (!PyLong_Check(value.ptr()) || PyBool_Check(value.ptr())) refuse_type(name, value, "an int");
    int overflow = 0;
    const std::int64_t number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    const auto room = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    if (overflow != 0 || number < least || number > most ||
        static_cast<std::uint64_t>(number) > room) {
      refuse_value(name, value);
    }
    into = static_cast<T>(number);
  }

  void seconds(const char* name, core::Duration& into) {
    const py::handle value = get(name);
    if (!PyFloat_Check(value.ptr()) && !PyLong_Check(value.ptr()))
      refuse_type(name, value, "a number of seconds");
    const double number = PyFloat_AsDouble(value.ptr());
    if (PyErr_Occurred() != nullptr) {
      PyErr_Clear();
      refuse_value(name, value);
    }
    if (!(number >= 0 && number <= kSecondsMax)) refuse_value(name, value);
    into = std::chrono::duration_cast<core::Duration>(std::chrono::duration<double>{number});
  }

  void flag(const char* name, bool& into) {
    const py::handle value = get(name);
    if (!PyBool_Check(value.ptr())) refuse_type(name, value, "a bool");
    into = value.ptr() == Py_True;
  }

  void text(const char* name, std::string& into) {
    const py::handle value = get(name);
    if (!PyUnicode_Check(value.ptr())) refuse_type(name, value, "a str");
    into = value.cast<std::string>();
  }

  void action(const char* name, driver::TimeoutAction& into) {
    using driver::TimeoutAction;
    std::string wanted;
    text(name, wanted);
    if (wanted == "log") {
      into = TimeoutAction::log;
    } else if (wanted == "answer") {
      into = TimeoutAction::answer;
    } else if (wanted == "raise") {
      into = TimeoutAction::raise;
    } else if (wanted == "replace") {
      into = TimeoutAction::replace;
    } else {
      refuse_value(name, get(name));
    }
  }

  void access_format(driver::AccessFormat& into) {
    std::string format;
    bool with_time = false;
    text("access_log_format", format);
    flag("access_log_time", with_time);
    std::variant<driver::AccessFormat, driver::FormatFault> made =
        driver::AccessFormat::compile(format, with_time);
    if (std::holds_alternative<driver::FormatFault>(made))
      refuse_value("access_log_format", get("access_log_format"));
    into = std::get<driver::AccessFormat>(std::move(made));
  }

  void peers(const char* name, TrustedPeers& into) {
    const py::handle value = get(name);
    if (!PyList_Check(value.ptr())) refuse_type(name, value, "a list of str");
    for (const py::handle entry : value.cast<py::list>()) {
      if (!PyUnicode_Check(entry.ptr())) refuse_type(name, entry, "a list of str");
      if (!into.add(entry.cast<std::string>())) refuse_value(name, entry);
    }
  }

  void believed(const char* name, BelievedFields& into) {
    const py::handle value = get(name);
    if (!PyList_Check(value.ptr())) refuse_type(name, value, "a list of str");
    into = BelievedFields::none();
    for (const py::handle entry : value.cast<py::list>()) {
      if (!PyUnicode_Check(entry.ptr())) refuse_type(name, entry, "a list of str");
      if (!into.add(entry.cast<std::string>())) refuse_value(name, entry);
    }
  }

  void expect_no_more() const {
    for (const auto& [key, value] : options_) {
      const std::string name = py::str(key);
      if (seen_.count(name) == 0) throw py::type_error("option " + name + ": unknown");
    }
  }

 private:
  [[nodiscard]] py::handle get(const char* name) {
    seen_.insert(name);
    if (!options_.contains(name))
      throw py::type_error(std::string{"option "} + name + " is missing");
    return PyDict_GetItemString(options_.ptr(), name);
  }

  [[noreturn]] static void refuse_type(const char* name, py::handle value, const char* wanted) {
    throw py::type_error(std::string{"option "} + name + ": " + wanted + " is needed, not " +
                         Py_TYPE(value.ptr())->tp_name);
  }

  [[noreturn]] static void refuse_value(const char* name, py::handle value) {
    throw py::value_error(std::string{"option "} + name + ": " + std::string{py::repr(value)} +
                          " is not allowed");
  }

  const py::dict& options_;
  std::set<std::string> seen_;
};

}  // namespace

WorkerOptions read_worker_options(const py::dict& options) {
  WorkerOptions read;
  driver::Config& config = read.config;
  core::Limits& limits = config.limits;
  Reader reader{options};
  reader.integer("threads", config.threads, 1, kThreadsMax);
  reader.integer("limit_head", limits.head_bytes_max, 1);
  reader.integer("limit_request_line", limits.request_line_bytes_max, 1);
  reader.integer("limit_field", limits.field_line_bytes_max, 1);
  reader.integer("limit_fields", limits.fields_max, 1);
  reader.integer("limit_body", limits.body_bytes_max);
  reader.integer("min_rate", limits.rate_bytes_min);
  reader.integer("keep_alive_requests", limits.keep_alive_requests);
  reader.seconds("keep_alive", limits.keep_alive);
  reader.seconds("receive_timeout", limits.receive_timeout);
  reader.seconds("send_timeout", limits.send_timeout);
  reader.flag("request_buffering", config.request_buffering);
  reader.integer("body_memory", config.body_memory_bytes);
  reader.integer("answer_memory", config.answer_memory_bytes);
  reader.text("spool_dir", config.spool_dir);
  reader.integer("spool_max", config.spool_bytes_max);
  reader.integer("max_connections", config.connections_max);
  reader.integer("max_queued", config.queued_max);
  reader.integer("max_requests", config.requests_max);
  reader.seconds("queue_timeout", config.queue_timeout);
  reader.seconds("graceful_timeout", config.graceful_timeout);
  reader.seconds("shutdown_delay", config.shutdown_delay);
  reader.seconds("slow_request", config.slow_request);
  reader.seconds("request_timeout", config.request_timeout);
  reader.seconds("request_timeout_grace", config.timeout_grace);
  reader.action("request_timeout_action", config.timeout_action);
  reader.text("server_header", config.server_header);
  reader.flag("access_log", config.access_log);
  reader.access_format(config.access_format);
  reader.flag("log_traces", config.log_traces);
  reader.flag("statsd", config.statsd);
  reader.text("request_id_header", config.request_id_header);
  reader.text("health_path", config.health_path);
  reader.flag("health_log", config.health_log);
  reader.flag("interactive", config.interactive);
  reader.flag("tells_when_busy", config.tells_when_busy);
  reader.text("server_name", read.environ.server_name);
  reader.flag("multiprocess", read.environ.multiprocess);
  reader.peers("forwarded_allow_ips", read.environ.trusted);
  reader.peers("proxy_protocol_from", read.environ.proxy_peers);
  reader.believed("forwarded_headers", read.environ.believed);
  reader.expect_no_more();
  if (config.access_log) {
    const std::span<const driver::Collected> collected = config.access_format.collected();
    for (std::size_t n = 0; n < collected.size(); ++n) {
      if (collected[n].from == driver::Collected::From::environ)
        read.environ.logged.emplace_back(n, collected[n].name);
    }
  }
  read.environ.multithread = config.threads > 1;
  read.environ.version = IOTAX_VERSION;
  return read;
}

}  // namespace iotax::bridge
