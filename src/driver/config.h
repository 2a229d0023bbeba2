// What a worker is told before it starts. Plain data; the names are those of the options.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/instant.h"
#include "core/limits.h"

namespace iotax::driver {

/// What becomes of a call that is over --request-timeout.
enum class TimeoutAction : std::uint8_t {
  log,      // its stack is logged
  answer,   // and the client answered
  raise,    // and iotax.RequestTimeout raised in the call
  replace,  // and the worker replaced
};

struct Config {
  core::Limits limits;
  unsigned threads = 1;
  bool request_buffering = true;
  std::size_t body_memory_bytes =
      256 * 1024;  // per request, beyond that an unlinked temporary file
  std::size_t answer_memory_bytes = 1024 * 1024;
  std::string spool_dir;                       // "": the system's
  std::uint64_t spool_bytes_max = 1ULL << 30;  // per worker
  std::size_t connections_max = 0;             // 0: the descriptor limit - 64
  std::size_t queued_max = 1024;
  core::Duration queue_timeout = std::chrono::seconds{30};
  core::Duration graceful_timeout = std::chrono::seconds{30};
  core::Duration shutdown_delay{};
  core::Duration slow_request{};     // 0: none
  core::Duration request_timeout{};  // 0: none
  core::Duration timeout_grace = std::chrono::seconds{5};
  TimeoutAction timeout_action = TimeoutAction::raise;
  [[nodiscard]] bool deadlines() const noexcept {
    return slow_request > core::Duration::zero() || request_timeout > core::Duration::zero();
  }
  std::uint64_t requests_max = 0;       // reported when reached (channel.h); 0: no limit
  bool tells_when_busy = false;         // the supervisor wants to look while requests run
  std::string server_header = "iotax";  // "": none
  bool access_log = true;
  bool interactive =
      false;  // INT comes from a person at a terminal, who is told what is waited for
};

/// How to stop. Later calls can only make it sharper.
enum class Stop : std::uint8_t {
  none,
  retire,  // another worker takes over: the listeners live on, idle connections keep their time
  drain,   // TERM: shutdown_delay, idle connections get at most 2 s for one more request
  prompt,  // INT: idle connections close at once
  now,     // QUIT, second signal
};

}  // namespace iotax::driver
