#include "admin/application.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>

#include "admin/health.h"
#include "admin/metrics.h"
#include "admin/page.h"
#include "core/ip_address.h"
#include "core/text.h"

namespace iotax::admin {
namespace {

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kPaths = "/ /livez /readyz /readyz?full /metrics /status";

/// What to send.
struct Response {
  std::string_view status = "200 OK";
  std::string_view type = kText;
  std::string content = {};
  std::string_view policy = {};  // Content-Security-Policy; empty: none
  bool names_methods = false;
};

void send(driver::Exchange& exchange, const Response& response) {
  core::ResponseFields fields;
  const auto add = [&](std::string_view name, std::string_view value) {
    (void)fields.add({name, value});
  };
  add("Content-Type", response.type);
  add("Cache-Control", "no-store");
  add("X-Content-Type-Options", "nosniff");
  if (!response.policy.empty()) add("Content-Security-Policy", response.policy);
  if (response.names_methods) add("Allow", "GET, HEAD");
  core::ResponseHead head;
  head.status = response.status;
  head.fields = &fields;
  head.content_bytes = response.content.size();
  exchange.respond(head);
  (void)exchange.body(std::as_bytes(std::span(response.content)));
  (void)exchange.finish();
  (void)exchange.deliver();
}

/// "live", or "not live: REASON" with 503.
Response verdict(std::string_view word, const std::string& reason) {
  Response response;
  if (!reason.empty()) {
    response.status = "503 Service Unavailable";
    response.content = "not ";
  }
  response.content.append(word);
  if (!reason.empty()) response.content.append(": ").append(reason);
  response.content.append("\n");
  return response;
}

/// Whether `authority` cannot be a name that an attacker resolves to this address (DNS rebinding).
bool is_own_host(std::string_view authority) noexcept {
  if (authority.empty()) return true;  // no browser
  if (authority.front() == '[') {
    const std::size_t end = authority.find(']');
    return end != std::string_view::npos && core::is_ipv6(authority.substr(1, end - 1));
  }
  const std::string_view host = authority.substr(0, authority.find(':'));
  return core::same_ignoring_case(host, "localhost") || core::parse_ip(host).has_value();
}

/// The values of all fields of this name, as one list.
std::string values_of(std::span<const core::Field> fields, std::string_view name) {
  std::string values;
  for (const core::Field& field : fields) {
    if (!core::same_ignoring_case(field.name, name)) continue;
    if (!values.empty()) values += ',';
    values += field.value;
  }
  return values;
}

}  // namespace

void AdminApplication::call(unsigned /*thread*/, driver::Exchange& exchange) noexcept {
  respond_to(exchange);
}

core::Instant AdminApplication::ran_since(const Now& now) noexcept {
  if (now.left_out != left_out_) {
    left_out_ = now.left_out;
    ran_since_ = now.monotonic;
  }
  return ran_since_;
}

void AdminApplication::respond_to(driver::Exchange& exchange) {
  const core::Head& head = exchange.head();
  const Now now = clock_();
  const core::Instant since = ran_since(now);
  const bool is_page = head.path == "/" || head.path == "/status";
  const bool known =
      is_page || head.path == "/livez" || head.path == "/readyz" || head.path == "/metrics";
  if (!known) {
    return send(exchange, {.status = "404 Not Found",
                           .content = "There are these paths: " + std::string(kPaths) + "\n"});
  }
  if (head.method != "GET" && head.method != "HEAD") {
    return send(exchange, {.status = "405 Method Not Allowed",
                           .content = "Only GET and HEAD are allowed.\n",
                           .names_methods = true});
  }
  if (exchange.body_bytes() != std::optional<std::uint64_t>{0}) {
    return send(exchange, {.status = "413 Content Too Large",
                           .content = "A request to this listener has no body.\n"});
  }
  if (is_page && !exchange.peer().unix_socket && !is_own_host(head.authority)) {
    return send(exchange, {.status = "421 Misdirected Request",
                           .content = "Use an IP address or localhost in the URL.\n"});
  }
  const Snapshot server = take_snapshot(scoreboard_, now.monotonic, now.unix_time);
  const Health health{why_not_live(server, since),
                      why_not_ready(server, head.path == "/readyz" && head.query == "full")};
  if (head.path == "/livez") return send(exchange, verdict("live", health.not_live));
  if (head.path == "/readyz") return send(exchange, verdict("ready", health.not_ready));
  if (head.path == "/metrics") {
    const MetricsForm form = form_for(values_of(head.fields, "accept"));
    const bool open = form == MetricsForm::open_metrics;
    return send(exchange,
                {.type = open ? "application/openmetrics-text; version=1.0.0; "
                                "charset=utf-8"
                              : "text/plain; version=0.0.4; charset=utf-8",
                 .content = metrics_of(server, about_.build, about_.listeners,
                                       health.not_live.empty(), health.not_ready.empty(), form)});
  }
  if (head.path == "/status") {
    return send(exchange,
                {.type = "application/json", .content = status_of(server, about_, health)});
  }
  send(exchange, {.type = "text/html; charset=utf-8",
                  .content = page_of(server, about_, health),
                  .policy = kPagePolicy});
}

}  // namespace iotax::admin
