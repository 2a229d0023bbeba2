// A client, core::Connection, and an application that does what its contract allows, in the order
// that Choices decide; then checks what the client received. Also asserts rules of the contract
// that no other code asserts: order of events, progress, memory, deadlines, no output after a
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

/// The response that an application, or the server for it, meant to send.
struct Meant {
  bool head_request = false;
  int status = 0;                                           // 0: the client must not see any of it
  std::string reason;                                       // if the application wrote one
  std::vector<std::pair<std::string, std::string>> fields;  // without Content-Length
  std::optional<std::uint64_t> length;  // declared by the application or the server
  bool dates = false, serves = false;   // the application sets Date, Server itself
  bool by_server = false;
  std::string content;  // everything that was given
  std::size_t interims = 0;
  bool continued = false;  // 100 (Continue) may precede it
  bool finished = false;   // false: aborted, or still in progress
};

class Conversation {
 public:
  /// `limits` and `policy` are borrowed and must outlive the conversation.
  Conversation(const core::Limits& limits, const core::Policy& policy, Choices choices);

  // ---- the client; each call is one turn: the connection's steps until it waits
  void receive(std::string_view octets);
  void eof();
  void pass(core::Duration time);
  /// Move time to the next deadline. Returns false if there is none.
  bool pass_to_deadline();

  // ---- the application
  /// One call of the application in progress, or one that comes too late.
  void act();
  /// Complete the response in progress.
  void act_to_the_end();

  // ---- the driver
  void take_output();
  /// Take only a part, as when a socket is full.
  void take_some_output();
  void pause_clock(bool held) { connection_.pause_clock(held); }
  void close_soon();

  /// Whether the application also runs before the request is complete.
  void call_early(bool early) noexcept { early_ = early; }

  [[nodiscard]] Choices& choices() noexcept { return choices_; }
  [[nodiscard]] bool closed() const { return connection_.closing() != core::Closing::no; }
  [[nodiscard]] bool wants_input() const { return connection_.wants_input(); }
  [[nodiscard]] bool in_progress() const noexcept { return stage_ != Stage::none; }
  /// Abort the process with a message if a rule was broken or the client received another response
  /// than the application meant. The conversation has ended: closed, or waiting with all output
  /// taken.
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
  void meant_by_server(const core::ServerResponse& answer);
  void over();
  [[nodiscard]] bool says_close() const;
  [[nodiscard]] std::size_t output_size() const;
  [[nodiscard]] core::ServerResponse server_response(int status) const;

  const core::Limits& limits_;
  Choices choices_;
  core::Instant now_{std::chrono::seconds{1000}};
  core::Connection connection_;
  bool early_ = false;
  std::string sent_;                       // by the client
  std::string output_;                     // that the client received
  std::unique_ptr<std::byte[]> received_;  // until the connection has consumed it
  std::size_t largest_receive_ = 0;
  bool finished_ = false;  // the client has shut down its side

  // ---- the request in progress
  core::RequestId id_ = core::RequestId::none;
  Stage stage_ = Stage::none;
  bool complete_ = false;  // its body is complete
  std::uint64_t content_bytes_ = 0;
  std::optional<int> refusal_;  // a rejection that is not written yet
  std::string block_;
  std::vector<Meant> meant_;
};

}  // namespace iotax::fuzz
