// The lines for statsd, and how many of them one datagram takes. The names are gunicorn's, so that
// its dashboards continue to work. It must not know time or sockets. No line contains bytes that a
// client has chosen.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/instant.h"
#include "driver/log/log.h"

namespace iotax::driver {

class StatsdText {
 public:
  /// What a datagram over Ethernet takes without being divided, beside the headers of IPv6 and of a
  /// tunnel; statsd's own advice. A single line is always shorter.
  static constexpr std::size_t kDatagramBytesMax = 1432;

  /// `prefix`: before each name; one dot follows it, whether it ends in dots or not. `tags`:
  /// separated by commas. Empty: none.
  StatsdText(std::string_view prefix, std::string_view tags);

  // Each appends lines with their ends.

  /// A request that has ended. `status`: 0 or less: there was no response, and its line is left
  /// out.
  void request(std::string& to, int status, core::Duration took) const;
  /// A line of the server log. Nothing below a warning.
  void log_line(std::string& to, Level level) const;
  /// How many workers serve.
  void workers(std::string& to, unsigned count) const;

  /// The first lines of `lines`, as many as a datagram takes, without the last line end.
  [[nodiscard]] static std::string_view first_datagram(std::string_view lines) noexcept;

 private:
  void line(std::string& to, std::string_view name, std::string_view value,
            std::string_view type) const;
  void increment(std::string& to, std::string_view name) const { line(to, name, "1", "|c|@1.0"); }

  std::string prefix_;
  std::string end_;
};

}  // namespace iotax::driver
