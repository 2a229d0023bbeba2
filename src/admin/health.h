// Whether the server is live and ready, and if not, why. It must not know how that is reported.
#pragma once

#include <string>

#include "admin/snapshot.h"
#include "core/instant.h"

namespace iotax::admin {

/// The supervisor and each worker stamp the scoreboard once a second.
inline constexpr core::Duration kStampTooOld = std::chrono::seconds{10};

/// Empty: live. `ran_since`: since when this process has run without interruption; a stamp is not
/// older: a process that was frozen with the others does not judge them by that time.
[[nodiscard]] std::string why_not_live(const Snapshot& server, core::Instant ran_since);

/// Empty: ready. `full`: a server whose queues are full is not.
[[nodiscard]] std::string why_not_ready(const Snapshot& server, bool full);

}  // namespace iotax::admin
