// Configuration of one worker. Plain data; the names are those of the options.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/instant.h"
#include "core/limits.h"
#include "driver/log/access_format.h"

namespace iotax::driver {

/// What to do with a call over --request-timeout.
enum class TimeoutAction : std::uint8_t {
  log,      // log its stack
  answer,   // and respond to the client
  raise,    // and raise iotax.RequestTimeout in the call
  replace,  // and replace the worker
};

struct Config {
  core::Limits limits;
  unsigned threads = 1;
  bool request_buffering = true;
  std::size_t body_memory_bytes =
      256 * 1024;  // per request; larger bodies use an unlinked temporary file
  std::size_t answer_memory_bytes = 1024 * 1024;
  std::string spool_dir;                       // "": see find_spool_dir()
  std::uint64_t spool_bytes_max = 1ULL << 30;  // per worker
  std::size_t connections_max = 0;             // 0: the descriptor limit - 64
  std::size_t queued_max = 1024;
  core::Duration queue_timeout = std::chrono::seconds{30};
  core::Duration graceful_timeout = std::chrono::seconds{30};
  core::Duration shutdown_delay{};
  core::Duration slow_request{};     // 0: no limit
  core::Duration request_timeout{};  // 0: no limit
  core::Duration timeout_grace = std::chrono::seconds{5};
  TimeoutAction timeout_action = TimeoutAction::raise;
  [[nodiscard]] bool deadlines() const noexcept {
    return slow_request > core::Duration::zero() || request_timeout > core::Duration::zero();
  }
  std::uint64_t requests_max = 0;       // reported when reached (channel.h); 0: no limit
  bool tells_when_busy = false;         // the supervisor reads the scoreboard while requests run
  bool counts = false;                  // for the admin listener, in the worker's slot
  bool statsd = false;                  // requests are counted for statsd, by the log
  std::string server_header = "iotax";  // "": none
  std::string request_id_header;        // "": none
  std::string health_path;              // as in a target, without a query; "": none
  bool health_log = false;              // requests to it are in the access log
  bool access_log = true;
  AccessFormat access_format;
  bool log_traces = false;     // the server log names traces too
  unsigned worker_number = 1;  // for the logs
  bool interactive =
      false;  // SIGINT comes from a terminal, so log which requests the stop waits for
};

/// How to stop. Later calls can only make it more urgent.
enum class Stop : std::uint8_t {
  none,
  retire,  // another worker takes over: the listeners stay open, idle connections keep their time
  drain,   // TERM: shutdown_delay, idle connections get at most 2 s for one more request
  prompt,  // INT: idle connections close immediately
  now,     // QUIT, second signal
};

}  // namespace iotax::driver
