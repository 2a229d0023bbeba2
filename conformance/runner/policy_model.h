// What http1-policy says about the bytes of one connection: a slow, plain reader of whole
// transcripts, for tests only. It judges the core, so it is written from the text of the policy and
// shares no code with the core; of the core's headers it uses the limits, which are data.
//
// The application after it is the reference application, called when the body is there.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "runner/observed.h"

namespace iotax::conformance {

struct MeantAnswer {
  int status = 0;
  std::string connection;  // value of the field Connection; empty: there is none
};

/// How the connection stands after the bytes.
enum class Ending : std::uint8_t {
  open,       // waits for more
  closed,     // closes after the responses
  refused,    // one more response, with a status of `refusals`, then closes
  undecided,  // an unfinished line: may be rejected already, or waited for
};

struct Meaning {
  std::vector<SeenRequest> requests;  // as the application completes them
  std::vector<MeantAnswer> answers;   // to these, and to OPTIONS *
  Ending ending = Ending::open;
  /// The statuses of the rules broken at the first fault; 0: closes without a response.
  std::set<int> refusals;
  /// The last byte ended a head whose body waits for 100 (Continue).
  bool continue_due = false;
};

/// `bytes`: all that the client has sent on the connection; `eof`: and it has shut down its side.
[[nodiscard]] Meaning meaning_of(std::string_view bytes, bool eof, const core::Limits& limits);

}  // namespace iotax::conformance
