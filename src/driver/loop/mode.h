// Operating mode of a loop. Handover and Draining write it, the other parts of the loop read it.
#pragma once

#include <cstdint>

namespace iotax::driver {

/// Progress of a stop.
enum class Stopping : std::uint8_t {
  no,
  delayed,   // still accepting, responses announce the close
  draining,  // listeners are closed, requests in progress may finish
  cut_off,   // the graceful timeout is over, or the stop was to be immediate
};

struct Mode {
  bool paused = false;        // nothing is accepted, idle connections are not read
  bool closing_idle = false;  // a connection closes as soon as it is idle
  Stopping stopping = Stopping::no;
};

}  // namespace iotax::driver
