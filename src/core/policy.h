// Choices that are not numbers. Strictness is not a choice: one grammar, no lenient switches.
#pragma once

namespace iotax::core {

struct Policy {
  /// true: the body is complete before the application is called, so the server sends 100
  /// (Continue) as soon as the head is accepted. false (--no-request-buffering): only
  /// continue_100() sends it, when the application first reads or when the driver buffers after
  /// all. RFC 9110 §10.1.1, http1-policy rule 33.
  bool continue_when_accepted = true;
};

}  // namespace iotax::core
