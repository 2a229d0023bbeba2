#include "admin/health.h"

#include <algorithm>
#include <string_view>

namespace iotax::admin {
namespace {

using driver::WorkerState;

std::string does_not_run(std::string_view what, core::Duration age) {
  return std::string(what) + " for " +
         std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count()) + " s";
}

}  // namespace

std::string why_not_live(const Snapshot& server, core::Instant ran_since) {
  const auto age = [&](core::Instant stamp) { return server.now - std::max(stamp, ran_since); };
  if (server.stamp != core::Instant{} && age(server.stamp) > kStampTooOld)
    return does_not_run("the supervisor has not run", age(server.stamp));
  core::Duration youngest = core::Duration::max();
  for (const WorkerSnapshot& worker : server.workers) {
    if (worker.state != WorkerState::ready) continue;
    // A worker without a stamp has not begun its first turn.
    youngest = std::min(
        youngest, worker.stamp == core::Instant{} ? core::Duration::zero() : age(worker.stamp));
  }
  if (youngest == core::Duration::max() || youngest <= kStampTooOld) return {};
  return does_not_run("no worker has run", youngest);
}

std::string why_not_ready(const Snapshot& server, bool full) {
  if (server.stopping) return "stopping";
  const bool none = std::none_of(server.workers.begin(), server.workers.end(),
                                 [](const WorkerSnapshot& worker) { return worker.accepts; });
  if (none) {
    const bool unsupervised = server.stamp == core::Instant{};
    if (!server.has_served) return "starting";
    return unsupervised ? "stopping" : "no worker";
  }
  const bool all_full =
      std::all_of(server.workers.begin(), server.workers.end(), [](const WorkerSnapshot& worker) {
        return !worker.accepts || (worker.queued_max != 0 && worker.queued >= worker.queued_max);
      });
  return full && all_full ? "full" : "";
}

}  // namespace iotax::admin
