// The metrics of the server as text for Prometheus. It decides names, labels and help texts; it
// must not know how they are counted or sent.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "admin/snapshot.h"

namespace iotax::admin {

enum class MetricsForm : std::uint8_t {
  open_metrics,  // application/openmetrics-text; version=1.0.0
  text,          // text/plain; version=0.0.4
};

/// What is known besides the scoreboard. The versions contain no quotation mark.
struct Build {
  std::string version;
  std::string python;
};

/// `listeners`: their addresses, in the order of the scoreboard.
[[nodiscard]] std::string metrics_of(const Snapshot& server, const Build& build,
                                     std::span<const std::string> listeners, bool live, bool ready,
                                     MetricsForm form);

/// The form for a request with this Accept field; empty: there is none. OpenMetrics, unless the
/// field excludes it.
[[nodiscard]] MetricsForm form_for(std::string_view accept) noexcept;

}  // namespace iotax::admin
