#include "admin/status.h"

#include "admin/json.h"

namespace iotax::admin {
namespace {

using driver::CounterIndex;

void write_worker(Json& out, const Snapshot& server, const WorkerSnapshot& worker,
                  bool shows_requests) {
  out.open('{');
  out.number("number", worker.number);
  out.number("pid", worker.process_id);
  out.text("state", word_of(worker.state));
  out.boolean("accepts", worker.accepts);
  out.seconds("age", server.unix_time - worker.started);
  out.number("threads_busy", worker.threads_busy);
  out.number("threads_idle", worker.threads_idle);
  out.number("threads_lost", worker.threads_lost);
  out.number("queued", worker.queued);
  out.number("connections", worker.connections);
  out.number("requests", worker.requests);
  out.number("memory", worker.resident_bytes);
  out.open('[', "running");
  for (const RunningRequest& running : worker.running) {
    out.open('{');
    if (shows_requests) {
      out.text("line", running.line);
      out.text("id", running.id);
    }
    out.seconds("age", running.age);
    out.close('}');
  }
  out.close(']');
  out.close('}');
}

}  // namespace

std::string_view state_of(const Health& health) noexcept {
  return health.not_ready.empty() ? "ready" : std::string_view(health.not_ready);
}

std::string status_of(const Snapshot& server, const About& about, const Health& health) {
  Json out;
  out.open('{');
  out.number("schema", 1);
  out.text("version", about.build.version);
  out.number("pid", server.process_id);
  out.seconds("uptime", server.unix_time - server.started);
  out.text("state", state_of(health));
  out.boolean("live", health.not_live.empty());
  out.boolean("ready", health.not_ready.empty());
  out.open('[', "listeners");
  for (const std::string& listener : about.listeners) out.text({}, listener);
  out.close(']');
  out.open('[', "workers");
  for (const WorkerSnapshot& worker : server.workers) {
    write_worker(out, server, worker, about.shows_requests);
  }
  out.close(']');
  out.open('{', "totals");
  out.number("requests", server.requests());
  out.number("rejected", server.rejected());
  out.number("connections_accepted", server.accepted);
  out.number("received_bytes", server.counts[CounterIndex::kReceivedBytes]);
  out.number("sent_bytes", server.counts[CounterIndex::kSentBytes]);
  out.number("worker_starts", server.starts);
  out.close('}');
  out.close('}');
  return std::move(out).take() + "\n";
}

}  // namespace iotax::admin
