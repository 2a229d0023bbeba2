// The reference application playing against core::Connection: it is the driver and the application
// in one, on a virtual clock. Shared by the conformance runner and the fuzz target. Rules of
// the interface that no case covers are checked as well and recorded as violations.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/connection.h"
#include "runner/observed.h"

namespace iotax::conformance {

/// When the application is called.
enum class Calling : std::uint8_t {
  complete,  // the body is complete: the default of the server
  early,     // only its head is (--no-request-buffering): /noread responds before the body is read
};

class CorePlay {
 public:
  /// `limits` and `policy` are borrowed.
  CorePlay(const core::Limits& limits, const core::Policy& policy, Calling calling);

  /// Bytes of the client. Ignored once the server has closed, as a lingering close ignores them.
  void receive(std::string_view octets);
  void eof();
  /// Let time pass.
  void pass(core::Duration time);
  /// Let time pass until the core's next deadline. False when there is none, so that the connection
  /// would stay forever.
  [[nodiscard]] bool pass_to_deadline();
  [[nodiscard]] bool closed() const noexcept { return observed_.closed; }
  /// An interim response `status` is among the bytes sent since the last call.
  [[nodiscard]] bool saw_interim(int status);
  [[nodiscard]] const Observed& observed() const noexcept { return observed_; }

 private:
  void turn(std::size_t received_bytes);
  bool take(const core::Step& step);  // false: the turn is over
  void on(const core::Head& head);
  void on(const core::BodyData& data);
  void on(const core::BodyEnd& end);
  void on(const core::Rejected& rejected);
  void answer();
  void flush();
  void violate(std::string what);

  const core::Limits& limits_;
  Calling calling_;
  core::Instant now_{};
  core::Connection connection_;
  Observed observed_;
  std::size_t looked_at_ = 0;  // of the output, by saw_interim()

  // the request in progress
  core::RequestId last_id_ = core::RequestId::none;
  bool in_progress_ = false;
  bool answered_ = false;      // an early response: the rest of the body is not read
  bool late_content_ = false;  // of an early response, discarded by the core
  bool rejected_ = false;
  core::Content content_ = core::Content::none;
  std::uint64_t content_bytes_ = 0;
  SeenRequest request_;
  std::string body_;
};

}  // namespace iotax::conformance
