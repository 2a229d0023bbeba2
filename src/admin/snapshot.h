// A copy of what the scoreboard says of the server at one moment. It must not know how it is shown.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/instant.h"
#include "driver/counters.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax::admin {

/// A request that the application is handling.
struct RunningRequest {
  std::string line;  // without control characters
  std::string id;
  core::Duration age{};
};

/// A worker that exists.
struct WorkerSnapshot {
  unsigned number = 0;
  std::uint64_t process_id = 0;
  driver::WorkerState state = driver::WorkerState::none;
  bool accepts = false;      // it is ready, and was not ordered to leave
  core::Instant stamp{};     // last turn of its loop; Instant{}: none yet
  core::Duration started{};  // since 1970
  std::uint64_t threads_busy = 0;
  std::uint64_t threads_idle = 0;
  std::uint64_t threads_lost = 0;
  std::uint64_t queued = 0;
  std::uint64_t queued_max = 0;
  core::Duration queue_age{};  // of the oldest request that waits
  std::uint64_t connections = 0;
  std::uint64_t connections_busy = 0;  // with a request in progress
  std::uint64_t connections_max = 0;
  std::uint64_t spool_bytes = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t requests = 0;  // that have ended
  std::vector<RunningRequest> running;
};

struct Snapshot {
  core::Instant now{};    // monotonic
  core::Instant stamp{};  // last turn of the supervisor; Instant{}: there is none
  core::Duration unix_time{};
  core::Duration started{};  // since 1970
  std::uint64_t process_id = 0;
  std::uint64_t workers_wanted = 0;
  std::uint64_t starts = 0;
  bool has_served = false;
  bool stopping = false;
  std::array<std::uint64_t, driver::kExitCauses.size()> exits{};
  std::vector<WorkerSnapshot> workers;
  std::vector<std::uint64_t> cpu_nanoseconds;  // by worker number - 1
  std::uint64_t accepted = 0;
  std::uint64_t busy_nanoseconds = 0;       // of application threads
  std::uint64_t lock_wait_nanoseconds = 0;  // for the application lock
  driver::LogCounts logs;
  // By listener; empty: unknown, or no TCP.
  std::array<std::optional<std::uint64_t>, driver::kBacklogsMax> backlogs{};
  driver::CounterWords counts{};

  [[nodiscard]] std::uint64_t requests() const noexcept;
  [[nodiscard]] std::uint64_t rejected() const noexcept;
};

/// `scoreboard` is counted. `now`: on the monotonic clock; `unix_time`: since 1970.
[[nodiscard]] Snapshot take_snapshot(const driver::Scoreboard& scoreboard, core::Instant now,
                                     core::Duration unix_time);

[[nodiscard]] std::string_view word_of(driver::WorkerState state) noexcept;

}  // namespace iotax::admin
