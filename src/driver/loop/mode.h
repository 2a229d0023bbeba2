// What a loop does with its connections at present. Handover and Draining write it, the other parts
// of the loop read it.
#pragma once

#include <cstdint>

namespace iotax::driver {

/// How far a stop has come.
enum class Stopping : std::uint8_t {
  no,
  delayed,   // still accepting, responses say close
  draining,  // listeners are closed, requests in progress may finish
  cut_off,   // the graceful timeout is over, or the stop was to be immediate
};

struct Mode {
  bool paused = false;        // nothing is accepted, idle connections are not read
  bool closing_idle = false;  // a connection closes as soon as it is idle
  Stopping stopping = Stopping::no;
};

}  // namespace iotax::driver
