// What /status says: the state of the server and of each worker as JSON (schema 1).
#pragma once

#include <string>
#include <vector>

#include "admin/metrics.h"
#include "admin/snapshot.h"

namespace iotax::admin {

/// What a status shows besides the scoreboard.
struct About {
  Build build;
  std::vector<std::string> listeners;  // addresses of the application
  bool shows_requests = true;          // lines and ids of running requests
};

/// Reasons are empty if the server is live or ready.
struct Health {
  std::string not_live;
  std::string not_ready;
};

/// "starting", "ready", "stopping", or why the server is not ready.
[[nodiscard]] std::string_view state_of(const Health& health) noexcept;

[[nodiscard]] std::string status_of(const Snapshot& server, const About& about,
                                    const Health& health);

}  // namespace iotax::admin
