// What a run of a case showed, at whatever level: requests as the application saw them, bytes as
// the client saw them; and the verdict over it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/events.h"
#include "runner/case.h"

namespace iotax::conformance {

/// A request the application has completed.
struct SeenRequest {
  std::string method;
  std::string path_info;  // decoded once
  std::string query;
  std::string body;
  std::map<std::string, std::string> environ;

  bool operator==(const SeenRequest&) const = default;
};

struct Observed {
  std::vector<SeenRequest> requests;
  /// Of the heads that were accepted, whether completed or not; and HEAD for one that was rejected.
  std::vector<std::string> methods;
  std::string output;  // all bytes of the server
  bool closed = false;
  std::string fault;  // the server's text for its rejection; empty if there was none
  std::vector<std::string> violations;  // broken rules of the interface, whatever the case expects
};

/// The request as environ shows it to a WSGI application, apart from the body and what depends
/// on the listener: fields joined with ", ", Cookie with "; " (http1-policy 18), HTTP_HOST from an
/// absolute-form target (11).
[[nodiscard]] SeenRequest seen_request(const core::Head& head);
/// The body has been read to its end: CONTENT_LENGTH of a chunked request becomes its size.
void complete(SeenRequest& request, std::string body, core::Content content);

/// Why no expectation of the case is met, one line per expectation; nothing when one is.
[[nodiscard]] std::optional<std::string> objection(const Case& subject, const Observed& observed);

/// How two runs of the same bytes with different splits differ; empty if they do not. An interim
/// response may be missing in one of them (core/connection.h, invariant 1).
[[nodiscard]] std::string difference(const Observed& whole, const Observed& cut);

/// Several lines as text: requests, responses, close, fault, violations.
[[nodiscard]] std::string describe(const Observed& observed);

}  // namespace iotax::conformance
