// Any application against the forms of requests: each response must be sent as meant or be visibly
// truncated; no byte may follow a head without a body; the next response must be in its place.
// Input: choices (choices.h): the number of requests, the form of each, and the actions of the
// application.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "conversation.h"

namespace {

using namespace iotax;

constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "OPTIONS"};
constexpr std::string_view kVersions[] = {"1.1", "1.0"};
constexpr std::string_view kConnections[] = {"", "Connection: close\r\n",
                                             "Connection: keep-alive\r\n"};
constexpr std::string_view kContents[] = {"\r\n",
                                          "Content-Length: 3\r\n\r\nabc",
                                          "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
                                          "Content-Length: 0\r\n\r\n",
                                          "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                                          "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX"};

std::string request(fuzz::Choices& choices) {
  std::string text(choices.one_of(kMethods));
  text.append(" /a HTTP/").append(choices.one_of(kVersions)).append("\r\nHost: h\r\n");
  return text.append(choices.one_of(kConnections)).append(choices.one_of(kContents));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const core::Limits limits;
  const core::Policy policy;
  fuzz::Conversation talk(limits, policy,
                          fuzz::Choices({reinterpret_cast<const char*>(data), size}));
  const std::size_t requests = 1 + talk.choices().below(4);
  talk.call_early(talk.choices().yes());
  const bool pipelined = talk.choices().yes();
  std::string octets;
  for (std::size_t i = 0; i < requests; ++i) {
    octets += request(talk.choices());
    if (pipelined && i + 1 < requests) continue;
    if (talk.wants_input()) talk.receive(octets);
    octets.clear();
    while (talk.in_progress()) {
      talk.act_to_the_end();
      talk.take_output();
      talk.pass({});  // the next of the pipelined requests
    }
  }
  talk.judge();
  return 0;
}
