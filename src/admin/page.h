// The page at /: the numbers of the moment as HTML, and a script that renews them from /status.
#pragma once

#include <string>
#include <string_view>

#include "admin/snapshot.h"
#include "admin/status.h"

namespace iotax::admin {

[[nodiscard]] std::string page_of(const Snapshot& server, const About& about, const Health& health);

/// Content-Security-Policy of the page: its own style and script, and requests to /status.
extern const std::string_view kPagePolicy;

}  // namespace iotax::admin
