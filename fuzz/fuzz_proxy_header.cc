// The first bytes of a connection of a proxy:// listener: the reader of the core must find what the
// model finds, which shares no code with it, however the bytes are split.
// Input: two bytes, where to split; then the bytes of the connection.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "runner/cuts.h"
#include "runner/proxy_model.h"
#include "runner/proxy_play.h"

namespace {

using namespace iotax;
using namespace iotax::conformance;

void expect(bool holds, const char* why) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", why);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t cut = std::size_t{data[0]} << 8U | data[1];

  const ProxyOutcome whole = play_proxy_header(bytes, {}, false);
  expect(play_proxy_header(bytes, {cut}, false) == whole, "a split changes the result");
  expect(play_proxy_header(bytes, single_octets(bytes.size()), false) == whole,
         "single bytes change the result");

  MeantProxyHeader meant;
  expect(proxy_header_of(bytes, meant) == whole.verdict, "the model gives another verdict");
  if (whole.verdict == ProxyVerdict::header) {
    expect(meant == whole.header, "the model reads another header");
    expect(proxy_header_of(bytes.substr(0, meant.bytes - 1), meant) == ProxyVerdict::unfinished,
           "the header is shorter");
  }
  return 0;
}
