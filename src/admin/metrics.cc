#include "admin/metrics.h"

#include <array>
#include <charconv>
#include <cstdint>

#include "core/text.h"
#include "driver/log/access_line.h"

namespace iotax::admin {
namespace {

using driver::CounterIndex;
using driver::Timed;
using driver::WorkerState;

constexpr std::array<std::string_view, driver::kBuckets.size()> kLimits{
    "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1",
    "0.25",   "0.5",   "1.0",    "2.5",   "5.0",  "10.0",  "30.0", "60.0"};

/// Nanoseconds as seconds.
std::string seconds(std::uint64_t nanoseconds) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  std::string text = std::to_string(nanoseconds / kSecond);
  std::string rest = std::to_string(nanoseconds % kSecond + kSecond);
  rest.erase(rest.find_last_not_of('0') + 1);
  return rest.size() > 1 ? text + '.' + rest.substr(1) : text + ".0";
}
std::string seconds(core::Duration time) {
  return seconds(static_cast<std::uint64_t>(std::max(time, core::Duration::zero()).count()));
}

class Writer {
 public:
  explicit Writer(MetricsForm form) : open_(form == MetricsForm::open_metrics) {}

  /// Begin a metric. `name` without prefix and suffix; `unit`: its last word, or empty.
  void begin(std::string_view name, std::string_view type, std::string_view unit,
             std::string_view help) {
    name_ = "iotax_" + std::string(name);
    suffix_ = type == "counter" ? "_total" : type == "info" ? "_info" : "";
    const std::string shown = open_ ? name_ : name_ + suffix_;
    out_.append("# HELP ").append(shown).append(" ").append(help).append("\n# TYPE ");
    out_.append(shown).append(" ").append(!open_ && type == "info" ? "gauge" : type).append("\n");
    if (open_ && !unit.empty()) {
      out_.append("# UNIT ").append(shown).append(" ").append(unit).append("\n");
    }
  }
  void sample(std::string_view labels, std::string_view value) { line(suffix_, labels, value); }
  void sample(std::string_view labels, std::uint64_t value) {
    sample(labels, std::to_string(value));
  }
  void line(std::string_view suffix, std::string_view labels, std::string_view value) {
    out_.append(name_).append(suffix);
    if (!labels.empty()) out_.append("{").append(labels).append("}");
    out_.append(" ").append(value).append("\n");
  }
  void single(std::string_view name, std::string_view type, std::string_view unit,
              std::string_view help, std::string_view value) {
    begin(name, type, unit, help);
    sample({}, value);
  }
  void single(std::string_view name, std::string_view type, std::string_view unit,
              std::string_view help, std::uint64_t value) {
    single(name, type, unit, help, std::to_string(value));
  }
  [[nodiscard]] std::string end() && {
    if (open_) out_ += "# EOF\n";
    return std::move(out_);
  }

 private:
  bool open_;
  std::string name_;
  std::string suffix_;
  std::string out_;
};

std::string label(std::string_view name, std::string_view value) {
  return std::string(name).append("=\"").append(value).append("\"");
}

void write_server(Writer& out, const Snapshot& server, const Build& build, bool live, bool ready) {
  out.begin("build", "info", "", "Versions of iotax and Python.");
  out.sample(label("version", build.version) + "," + label("python", build.python), 1);
  out.single("start_time_seconds", "gauge", "seconds", "Start of the server, since 1970.",
             seconds(server.started));
  out.single("live", "gauge", "", "Whether /livez responds with 200.", live ? 1 : 0);
  out.single("ready", "gauge", "", "Whether /readyz responds with 200.", ready ? 1 : 0);
  out.begin("workers", "gauge", "", "Worker processes.");
  for (const WorkerState state :
       {WorkerState::booting, WorkerState::ready, WorkerState::draining}) {
    std::uint64_t count = 0;
    for (const WorkerSnapshot& worker : server.workers) count += worker.state == state ? 1 : 0;
    out.sample(label("state", word_of(state)), count);
  }
  out.single("workers_wanted", "gauge", "", "Worker processes that the supervisor keeps running.",
             server.workers_wanted);
  out.single("worker_starts", "counter", "", "Worker processes that were started.", server.starts);
  out.begin("worker_exits", "counter", "", "Worker processes that have exited, by cause.");
  for (std::size_t n = 0; n < server.exits.size(); ++n) {
    out.sample(label("cause", driver::kExitCauses[n]), server.exits[n]);
  }
}

void write_workers(Writer& out, const Snapshot& server) {
  const auto number = [](const WorkerSnapshot& worker) {
    return label("worker", std::to_string(worker.number));
  };
  out.begin("worker_resident_memory_bytes", "gauge", "bytes", "Resident memory of a worker.");
  for (const WorkerSnapshot& worker : server.workers) {
    if (worker.resident_bytes != 0) out.sample(number(worker), worker.resident_bytes);
  }
  out.begin("worker_cpu_seconds", "counter", "seconds",
            "CPU time of the workers that have had this number.");
  for (std::size_t n = 0; n < server.cpu_nanoseconds.size(); ++n) {
    out.sample(label("worker", std::to_string(n + 1)), seconds(server.cpu_nanoseconds[n]));
  }
  out.begin("worker_start_time_seconds", "gauge", "seconds", "Start of a worker, since 1970.");
  for (const WorkerSnapshot& worker : server.workers) {
    out.sample(number(worker), seconds(worker.started));
  }
}

void write_requests(Writer& out, const Snapshot& server) {
  const driver::CounterWords& counts = server.counts;
  out.begin("requests", "counter", "",
            "Requests that have ended; status 499: the client left; none: there was no response.");
  for (std::size_t by = 0; by < CounterIndex::kResponders; ++by) {
    for (std::size_t method = 0; method < driver::kCountedMethods.size(); ++method) {
      for (std::size_t status = 0; status < driver::kCountedStatuses.size(); ++status) {
        out.sample(label("by", word_of(static_cast<driver::By>(by))) + "," +
                       label("method", driver::kCountedMethods[method]) + "," +
                       label("status", driver::kCountedStatuses[status]),
                   counts[CounterIndex::request(by, method, status)]);
      }
    }
  }
  out.begin("requests_ended", "counter", "", "Requests by how they ended.");
  for (std::size_t n = 0; n < CounterIndex::kEnds; ++n) {
    out.sample(label("end", word_of(static_cast<driver::End>(n))),
               counts[CounterIndex::kEnded + n]);
  }
  out.begin("rejected", "counter", "",
            "Responses that the server made instead of the application, by reason.");
  for (std::size_t n = 0; n < driver::kRejections.size(); ++n) {
    out.sample(label("reason", driver::kRejections[n]), counts[CounterIndex::kRejected + n]);
  }
  out.single("requests_waited", "counter", "", "Requests that found no free thread.",
             counts[CounterIndex::kWaited]);
  out.begin("deadlines", "counter", "",
            "Calls that were slow, timed out, or whose thread was given up.");
  for (std::size_t n = 0; n < driver::kDeadlines.size(); ++n) {
    out.sample(label("kind", driver::kDeadlines[n]), counts[CounterIndex::kDeadline + n]);
  }
}

void write_histogram(Writer& out, std::string_view name, std::string_view help,
                     const driver::CounterWords& counts, Timed what) {
  out.begin(name, "histogram", "seconds", help);
  const std::size_t first = CounterIndex::histogram(what);
  std::uint64_t sum = 0;
  for (std::size_t n = 0; n <= kLimits.size(); ++n) {
    sum += counts[first + n];
    out.line("_bucket", label("le", n < kLimits.size() ? kLimits[n] : "+Inf"), std::to_string(sum));
  }
  out.line("_sum", {}, seconds(counts[first + kLimits.size() + 1]));
  out.line("_count", {}, std::to_string(sum));
}

void write_load(Writer& out, const Snapshot& server, std::span<const std::string> listeners) {
  std::uint64_t running = 0, queued = 0, busy = 0, idle = 0, lost = 0, connections = 0,
                connections_busy = 0, most = 0, spool = 0;
  core::Duration oldest{};
  for (const WorkerSnapshot& worker : server.workers) {
    running += worker.running.size();
    queued += worker.queued;
    oldest = std::max(oldest, worker.queue_age);
    connections += worker.connections;
    connections_busy += worker.connections_busy;
    spool += worker.spool_bytes;
    if (worker.state != WorkerState::ready) continue;
    busy += worker.threads_busy;
    idle += worker.threads_idle;
    lost += worker.threads_lost;
    most += worker.connections_max;
  }
  out.single("requests_running", "gauge", "", "Requests that the application is handling.",
             running);
  out.single("requests_queued", "gauge", "", "Requests that wait for a thread.", queued);
  out.single("queue_age_seconds", "gauge", "seconds", "Age of the oldest request that waits.",
             seconds(oldest));
  out.begin("threads", "gauge", "", "Application threads of ready workers.");
  out.sample(label("state", "busy"), busy);
  out.sample(label("state", "idle"), idle);
  out.sample(label("state", "lost"), lost);
  out.single("thread_busy_seconds", "counter", "seconds",
             "Time that the application threads together have run calls.",
             seconds(server.busy_nanoseconds));
  out.single("gil_wait_seconds", "counter", "seconds",
             "Time that the application threads together have waited for the GIL.",
             seconds(server.lock_wait_nanoseconds));
  out.begin("connections", "gauge", "", "Open connections; busy: a request is in progress.");
  out.sample(label("state", "idle"), connections - connections_busy);
  out.sample(label("state", "busy"), connections_busy);
  out.single("connections_max", "gauge", "", "Connections that ready workers allow.", most);
  out.single("connections_accepted", "counter", "", "Connections that were accepted.",
             server.accepted);
  out.single("received_bytes", "counter", "bytes", "Bytes received on the sockets.",
             server.counts[CounterIndex::kReceivedBytes]);
  out.single("sent_bytes", "counter", "bytes", "Bytes sent on the sockets.",
             server.counts[CounterIndex::kSentBytes]);
  out.single("health_requests", "counter", "", "Requests to --health-path.",
             server.counts[CounterIndex::kHealthRequests]);
  out.begin("backlog_connections", "gauge", "",
            "Connections that wait to be accepted, by TCP listener.");
  for (std::size_t n = 0; n < std::min(listeners.size(), server.backlogs.size()); ++n) {
    if (server.backlogs[n]) out.sample(label("listener", listeners[n]), *server.backlogs[n]);
  }
  out.single("spool_bytes", "gauge", "bytes", "Size of the temporary files.", spool);
}

void write_logs(Writer& out, const driver::LogCounts& logs) {
  static constexpr std::array<std::string_view, 2> kLogs{"access", "server"};
  static_assert(kLogs.size() == driver::LogCounts{}.dropped.size());
  out.begin("log_lines", "counter", "", "Entries of the server log, by severity.");
  for (std::size_t n = 0; n < logs.lines.size(); ++n) {
    out.sample(label("severity", driver::kSeverities[n]), logs.lines[n]);
  }
  out.begin("log_lines_dropped", "counter", "", "Lines that a log could not take in time.");
  for (std::size_t n = 0; n < logs.dropped.size(); ++n) {
    out.sample(label("log", kLogs[n]), logs.dropped[n]);
  }
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Whether the parameters of an Accept member give it the weight 0.
bool has_no_weight(std::string_view parameters) noexcept {
  while (!parameters.empty()) {
    const std::size_t end = parameters.find(';');
    std::string_view one = trimmed(parameters.substr(0, end));
    if ((one.starts_with("q=") || one.starts_with("Q=")) &&
        one.find_first_not_of("0.", 2) == std::string_view::npos) {
      return true;
    }
    parameters = end == std::string_view::npos ? std::string_view{} : parameters.substr(end + 1);
  }
  return false;
}

}  // namespace

std::string metrics_of(const Snapshot& server, const Build& build,
                       std::span<const std::string> listeners, bool live, bool ready,
                       MetricsForm form) {
  Writer out(form);
  write_server(out, server, build, live, ready);
  write_workers(out, server);
  write_requests(out, server);
  write_histogram(out, "request_duration_seconds",
                  "From the complete request to the end of the response.", server.counts,
                  Timed::request);
  write_histogram(out, "queue_duration_seconds", "Wait for a thread.", server.counts, Timed::queue);
  write_histogram(out, "app_duration_seconds",
                  "From the call of the application to the end of its response.", server.counts,
                  Timed::app);
  write_load(out, server, listeners);
  write_logs(out, server.logs);
  return std::move(out).end();
}

MetricsForm form_for(std::string_view accept) noexcept {
  if (trimmed(accept).empty()) return MetricsForm::open_metrics;
  // The most specific range that matches decides (RFC 9110 12.5.1).
  int best = 0;
  bool wanted = false;
  while (!accept.empty()) {
    const std::size_t comma = accept.find(',');
    const std::string_view member = accept.substr(0, comma);
    const std::size_t semicolon = std::min(member.find(';'), member.size());
    const std::string_view range = trimmed(member.substr(0, semicolon));
    const int rank = core::same_ignoring_case(range, "application/openmetrics-text") ? 3
                     : core::same_ignoring_case(range, "application/*")              ? 2
                     : range == "*/*"                                                ? 1
                                                                                     : 0;
    if (rank > best) {
      best = rank;
      wanted = !has_no_weight(member.substr(std::min(semicolon + 1, member.size())));
    }
    accept = comma == std::string_view::npos ? std::string_view{} : accept.substr(comma + 1);
  }
  return wanted ? MetricsForm::open_metrics : MetricsForm::text;
}

}  // namespace iotax::admin
