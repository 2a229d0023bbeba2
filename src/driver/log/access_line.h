// The text of log lines: the access line, the escaping of bytes that a client chose, and the bound
// on the server's own warnings. Pure formatting; it must not know where lines go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "core/instant.h"

namespace iotax::driver {

/// How many of a client's offending bytes a warning shows.
inline constexpr std::size_t kShownBytesMax = 80;

/// Append `bytes` with everything but printable ASCII, and `"` and `\`, as \xNN.
void append_escaped(std::string& line, std::string_view bytes);

/// One request. What is not known is empty.
struct AccessEntry {
  std::string client;  // "127.0.0.1:35694"; an address that a proxy names has no port
  std::string_view method;
  std::string_view target;   // as received
  std::string_view version;  // "HTTP/1.1"; written as it is
  int status = 0;            // 499: the client left before its answer; 0 or less: there was none
  std::uint64_t bytes = 0;   // of the content
  core::Duration duration{};
  std::string_view request_id;
};

/// `127.0.0.1:35694 - "GET /x?y HTTP/1.1" 200 OK 154B 2.3ms REQUEST-ID`, without a line end. `"-"`
/// stands for a request line that was not recognised, `-` for a status that nobody was sent.
[[nodiscard]] std::string format_access(const AccessEntry& entry);

/// At most kLines lines in a second; those beyond are counted, and the count is told when the
/// second is over. One thread at a time.
class WarningLimit {
 public:
  static constexpr unsigned kLines = 10;
  static constexpr core::Duration kWindow = std::chrono::seconds{1};

  /// Hand `line` to `emit(std::string_view)`, or count it. A count that is due goes first.
  template <class F>
  void pass(core::Instant now, F&& emit, std::string_view line) {
    settle(now, emit);
    if (now >= window_end_) {
      window_end_ = now + kWindow;
      lines_ = 0;
    }
    if (lines_ < kLines) {
      ++lines_;
      emit(line);
    } else {
      ++left_out_;
    }
  }

  /// Emit the count if it is due.
  template <class F>
  void settle(core::Instant now, F&& emit) {
    if (now < due()) return;
    emit(std::string_view(counted(std::exchange(left_out_, 0))));
  }
  /// When settle() has something to tell; kNever when nothing was left out.
  [[nodiscard]] core::Instant due() const noexcept {
    return left_out_ == 0 ? core::kNever : window_end_;
  }

 private:
  [[nodiscard]] static std::string counted(std::uint64_t lines);

  core::Instant window_end_{};
  unsigned lines_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace iotax::driver
