// A client, core::Connection and an application that does what its contract allows, in whatever
// order Choices say; and the judgment over what the client got. Rules of the seam that nobody else
// asserts are checked on the way: order of events, progress, memory, deadlines, silence after a
// close.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "choices.h"
#include "core/connection.h"

namespace iotax::fuzz {

/// What an application, or the server for it, meant with one answer.
struct Meant {
  bool head_request = false;
  int status = 0;                                           // 0: nothing of it may be seen
  std::string reason;                                       // of an application that wrote one
  std::vector<std::pair<std::string, std::string>> fields;  // without Content-Length
  std::optional<std::uint64_t> length;  // that was declared, by the application or for it
  bool dates = false, serves = false;   // has a Date, a Server of its own
  bool by_server = false;
  std::string content;  // all that was given
  std::size_t interims = 0;
  bool continued = false;  // 100 (Continue) may stand before it
  bool finished = false;   // else it was aborted, or is not over
};

class Conversation {
 public:
  /// `limits` and `policy` are borrowed.
  Conversation(const core::Limits& limits, const core::Policy& policy, Choices choices);

  // ---- the client; each call is a turn: the connection's steps until it waits
  void receive(std::string_view octets);
  void eof();
  void pass(core::Duration time);
  /// Until the next deadline. False: there is none.
  bool pass_to_deadline();

  // ---- the application
  /// One call of the application in progress, or one that comes too late.
  void act();
  /// To the end of the answer in progress.
  void act_to_the_end();

  // ---- the driver
  void take_output();
  /// Only a part, as when a socket is full.
  void take_some_output();
  void hold_clock(bool held) { connection_.hold_clock(held); }
  void close_soon();

  /// When the application has its turn: at the end of a request, or also within.
  void call_early(bool early) noexcept { early_ = early; }

  [[nodiscard]] Choices& choices() noexcept { return choices_; }
  [[nodiscard]] bool closed() const { return connection_.closing() != core::Closing::no; }
  [[nodiscard]] bool wants_input() const { return connection_.wants_input(); }
  [[nodiscard]] bool in_progress() const noexcept { return stage_ != Stage::none; }
  /// Ends the process, and says why, where a rule was broken or the client got something else than
  /// was meant. The conversation is over: closed, or waiting with everything taken.
  void judge();
  [[noreturn]] void die(const std::string& why) const;

 private:
  enum class Stage : std::uint8_t { none, owed, open };

  void turn();
  bool step();
  void begin();
  void respond();
  void body(std::size_t size);
  void body_file();
  void end(bool finish);
  void answer(int status);
  void act_late();
  void refuse();
  void meant_by_server(const core::ServerAnswer& answer);
  void over();
  [[nodiscard]] bool says_close() const;
  [[nodiscard]] std::size_t output_size() const;
  [[nodiscard]] core::ServerAnswer server_answer(int status) const;

  const core::Limits& limits_;
  Choices choices_;
  core::Instant now_{std::chrono::seconds{1000}};
  core::Connection connection_;
  bool early_ = false;
  std::string sent_;                       // by the client
  std::string output_;                     // that the client got
  std::unique_ptr<std::byte[]> received_;  // until the connection has used it up
  std::size_t largest_receive_ = 0;
  bool finished_ = false;  // the client has

  // ---- the request in progress
  core::RequestId id_ = core::RequestId::none;
  Stage stage_ = Stage::none;
  bool complete_ = false;  // its content is there
  std::uint64_t content_bytes_ = 0;
  std::optional<int> refusal_;  // that waits to be written
  std::string block_;
  std::vector<Meant> meant_;
};

}  // namespace iotax::fuzz
