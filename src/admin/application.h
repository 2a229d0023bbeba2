// The application of the admin listener: paths, methods and content types. It reads the scoreboard
// and nothing else, so it responds while every thread of the workers hangs. It must not know how it
// is served.
#pragma once

#include <functional>
#include <string_view>

#include "admin/snapshot.h"
#include "admin/status.h"
#include "driver/application.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax::admin {

/// One reading of the clocks.
struct Now {
  core::Instant monotonic;
  core::Duration unix_time;  // since 1970
  core::Duration left_out;   // in which this process did not run, as far as it was noticed
};

class AdminApplication final : public driver::Application {
 public:
  /// `scoreboard` is counted; its memory is borrowed.
  AdminApplication(const driver::Scoreboard& scoreboard, About about, std::function<Now()> clock)
      : scoreboard_(scoreboard), about_(std::move(about)), clock_(std::move(clock)) {}

  void enter(unsigned /*thread*/) noexcept override {}
  void leave(unsigned /*thread*/) noexcept override {}
  void call(unsigned thread, driver::Exchange& exchange) noexcept override;
  [[nodiscard]] bool run_signal_handlers() noexcept override { return false; }
  void end_process(int /*exit_code*/) noexcept override {}

 private:
  void respond_to(driver::Exchange& exchange);
  /// The time from which on this process has run without interruption.
  [[nodiscard]] core::Instant ran_since(const Now& now) noexcept;

  const driver::Scoreboard scoreboard_;
  const About about_;
  const std::function<Now()> clock_;
  core::Duration left_out_{};  // at the last request
  core::Instant ran_since_{};
};

}  // namespace iotax::admin
