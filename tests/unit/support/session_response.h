// The response of the application to the request of a session, without an exchange.
#pragma once

#include <span>
#include <string_view>

#include "core/connection.h"

namespace iotax::support {

/// The whole response, with `body`. It lies in the machine of `s` afterwards, and the access log
/// owes no line.
template <class Session>
void write_response(Session& s, std::string_view body = {}) {
  core::ResponseHead head;
  head.status = "200 OK";
  head.content_bytes = body.size();
  const core::RequestId id = s.link.machine.head().id;
  s.stream.status = s.link.machine.respond(id, head);
  if (!body.empty()) s.link.machine.body(id, std::as_bytes(std::span(body)));
  s.link.machine.finish(id);
  s.stream.log_line = driver::Line::none;
}

}  // namespace iotax::support
