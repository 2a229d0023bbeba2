// The table of response framings, from the strongest fact to the weakest.
#include "core/response_framing.h"

namespace iotax::core {

Decision decide(const ResponseFacts& facts) noexcept {
  Decision made;
  if (facts.status == 204) {  // RFC 9110 §8.6: no Content-Length
    made.framing = Framing::none;
  } else if (facts.status == 205) {  // RFC 9110 §15.3.6
    made.framing = facts.head_request ? Framing::none : Framing::length;
    made.add_length = 0;
  } else if (facts.head_request || facts.status == 304) {
    // The length that a GET would have, if known; never an invented 0 (beyond 5.6).
    made.framing = Framing::none;
    made.keep_own_length = facts.own_length.has_value();
    if (!made.keep_own_length && facts.head_request && facts.content_bytes.value_or(0) != 0)
      made.add_length = facts.content_bytes;
  } else if (facts.own_length) {
    made.framing = Framing::length;
    made.length = *facts.own_length;
    made.keep_own_length = true;
  } else if (facts.content_bytes) {
    made.framing = Framing::length;
    made.length = *facts.content_bytes;
    made.add_length = facts.content_bytes;
  }
  return made;
}

Decision decide_late(Version version, bool ended) noexcept {
  Decision made;
  if (ended) {  // beyond 5.7
    made.framing = Framing::length;
    made.add_length = 0;
  } else {
    made.framing = version == Version::http_1_1 ? Framing::chunked : Framing::until_close;
  }
  return made;
}

}  // namespace iotax::core
