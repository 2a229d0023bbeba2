// Drives the core alone through N keep-alive requests of 40 bytes with responses of 200, as wrk and
// a trivial application would, in one process. Prints nothing: run it twice under callgrind and
// divide the difference of the instructions by the difference of N to get the core's user-space
// instructions per request.
#include <chrono>
#include <cstdlib>
#include <span>
#include <string_view>
#include <variant>

#include "core/connection.h"

namespace {

using namespace iotax::core;

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: localhost:80\r\n\r\n\r\n";
constexpr std::string_view kBody = "Hello, world!\n";

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// One iteration of a driver. Returns false if the request got no response.
bool serve(Connection& connection, std::string_view request, Instant now) {
  static const ResponseFields fields(
      std::array{Field{"Content-Type", "text/plain; charset=utf-8"}});
  connection.on_time(now);
  connection.receive(bytes_of(request));
  Step step = connection.step();
  const auto* head = std::get_if<HeadEnd>(&step);
  if (head == nullptr) return false;
  const RequestId id = head->id;
  step = connection.step();
  if (!std::holds_alternative<BodyEnd>(step)) return false;
  ResponseHead answer;
  answer.status = "200 OK";
  answer.fields = &fields;
  answer.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  answer.server = "iotax";
  answer.content_bytes = kBody.size();
  connection.respond(id, answer);
  connection.body(id, bytes_of(kBody));
  connection.finish(id);
  std::uint64_t bytes = 0;
  for (const Slice& slice : connection.output()) bytes += slice.bytes.size();
  connection.sent(bytes);
  return std::holds_alternative<NeedInput>(connection.step());
}

}  // namespace

int main(int argc, char** argv) {
  const long requests = argc > 1 ? std::atol(argv[1]) : 100000;
  Limits limits;
  limits.keep_alive_requests = 0;
  const Policy policy;
  Instant now{std::chrono::seconds{1}};
  Connection connection(limits, policy, now);
  constexpr std::string_view kUsed = kRequest.substr(0, kRequest.size() - 2);
  for (long i = 0; i < requests; ++i) {
    now += std::chrono::microseconds{5};
    if (!serve(connection, kUsed, now)) return 1;
  }
  return 0;
}
