// Drives one core::Connection in a test: bytes and time in, events as text out. Each receive is a
// heap copy of exactly its size that is freed after the turn, so that a sanitizer detects reads
// beyond it and views that outlive it.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/connection.h"
#include "core/fault.h"
#include "support/bytes.h"

namespace iotax::test {

using support::bytes_of;
using support::text_of;

/// A request whose content is chunked: its head, then `content` as it is.
[[nodiscard]] inline std::string chunked(std::string_view content) {
  return "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(content);
}

inline constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";

class CorePeer {
 public:
  using App = std::function<void(CorePeer&, core::RequestId)>;

  explicit CorePeer(core::Limits limits_given = {}, core::Policy policy_given = {})
      : limits(limits_given), policy(policy_given), connection(limits, policy, now) {}

  core::Limits limits;
  core::Policy policy;
  core::Instant now{std::chrono::seconds{1000}};
  core::Connection connection;

  /// "head GET /x", "data …" (adjacent ones merged), "end", "rejected 400 …".
  std::vector<std::string> events;
  std::string output;
  std::uint64_t file_bytes = 0;
  core::Rejected rejected;  // the last one; its view is in `offending`
  std::string offending;
  bool answer_refusals = true;
  bool take_output = true;
  /// Called when a request is complete; by default it responds "ok".
  App app = [](CorePeer& peer, core::RequestId id) { peer.answer_ok(id); };
  App on_head;

  void receive(std::string_view bytes) {
    const auto copy = std::make_unique<char[]>(bytes.size());
    if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
    connection.on_time(now);
    connection.receive(bytes_of({copy.get(), bytes.size()}));
    turn();
  }
  void eof() {
    connection.on_time(now);
    connection.receive_eof();
    turn();
  }
  void pass(core::Duration time) {
    now += time;
    connection.on_time(now);
    turn();
  }
  void turn() {
    for (;;) {
      const core::Step step = connection.step();
      if (std::holds_alternative<core::NeedInput>(step) ||
          std::holds_alternative<core::Paused>(step))
        break;
      note(step);
      flush();
    }
    flush();
  }
  void flush() {
    if (!take_output) return;
    std::uint64_t taken = 0;
    for (const core::Slice& slice : connection.output()) {
      output += text_of(slice.bytes);
      file_bytes += slice.file_bytes;
      taken += slice.bytes.size() + slice.file_bytes;
    }
    if (taken != 0) connection.sent(taken);
  }

  void respond(core::RequestId id, std::string_view status, std::vector<core::Field> fields = {},
               std::optional<std::uint64_t> content_bytes = std::nullopt) {
    const core::ResponseFields checked(fields);
    core::ResponseHead head;
    head.status = status;
    head.fields = &checked;
    head.content_bytes = content_bytes;
    connection.respond(id, head);
  }
  core::Outcome body(core::RequestId id, std::string_view text) {
    const core::Outcome outcome = connection.body(id, bytes_of(text));
    flush();
    return outcome;
  }
  void answer_ok(core::RequestId id) {
    respond(id, "200 OK", {}, 2);
    connection.body(id, bytes_of("ok"));
    connection.finish(id);
  }
  [[nodiscard]] bool closed() const { return connection.closing() != core::Closing::no; }

 private:
  void note(const core::Step& step) {
    if (std::holds_alternative<core::HeadEnd>(step)) {
      const core::Head& head = connection.head();
      events.push_back("head " + std::string(head.method) + ' ' + std::string(head.target));
      if (on_head) on_head(*this, head.id);
    } else if (const auto* data = std::get_if<core::BodyData>(&step)) {
      if (events.empty() || !events.back().starts_with("data ")) events.emplace_back("data ");
      events.back() += text_of(data->bytes);
    } else if (const auto* end = std::get_if<core::BodyEnd>(&step)) {
      events.emplace_back("end");
      if (app) app(*this, end->id);
    } else if (const auto* refusal = std::get_if<core::Rejected>(&step)) {
      rejected = *refusal;
      offending = refusal->offending;
      events.push_back("rejected " + std::to_string(refusal->status) + ' ' +
                       std::string(core::reason(refusal->fault)));
      if (!answer_refusals || refusal->status == 0) return;
      core::ServerResponse answer;
      answer.status = refusal->status;
      answer.sentence = core::reason(refusal->fault);
      connection.reject(answer);
    }
  }
};

}  // namespace iotax::test
