// Turns of the reference driver over the core. It responds immediately, so at the end of a turn the
// core has consumed its input.
#include "runner/core_play.h"

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <variant>

#include "core/fault.h"
#include "core/response.h"

namespace iotax::conformance {
namespace {

constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::string_view kServer = "iotax";
constexpr std::string_view kNoRead = "/noread";
constexpr std::string_view kAnswerText = "the reference application has read all of it\n";
/// More steps than this per byte and turn mean that some of them make no progress.
constexpr std::size_t kStepsPerOctet = 4;
constexpr std::size_t kStepsPerTurn = 64;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text_of(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string number(core::RequestId id) { return std::to_string(static_cast<std::uint64_t>(id)); }

}  // namespace

CorePlay::CorePlay(const core::Limits& limits, const core::Policy& policy, Calling calling)
    : limits_(limits), calling_(calling), connection_(limits, policy, now_) {}

void CorePlay::violate(std::string what) { observed_.violations.push_back(std::move(what)); }

void CorePlay::receive(std::string_view octets) {
  if (closed()) return;
  if (!connection_.wants_input()) violate("wants no input although nothing is in progress");
  // A copy of exactly this size, freed after the turn: a sanitizer detects a read beyond it and a
  // view that outlives it.
  const auto copy = std::make_unique<std::byte[]>(octets.size());
  if (!octets.empty()) std::memcpy(copy.get(), octets.data(), octets.size());
  connection_.on_time(now_);
  connection_.receive(std::span<const std::byte>(copy.get(), octets.size()));
  turn(octets.size());
}

void CorePlay::eof() {
  if (closed()) return;
  connection_.on_time(now_);
  connection_.receive_eof();
  turn(0);
}

void CorePlay::pass(core::Duration time) {
  now_ += time;
  if (closed()) return;
  connection_.on_time(now_);
  turn(0);
}

bool CorePlay::pass_to_deadline() {
  const core::Instant deadline = connection_.deadline();
  if (deadline == core::kNever) return false;
  pass(deadline > now_ ? deadline - now_ : core::Duration{});
  return true;
}

bool CorePlay::saw_interim(int status) {
  const auto wanted = "HTTP/1.1 " + std::to_string(status) + " ";
  const bool found = observed_.output.find(wanted, looked_at_) != std::string::npos;
  looked_at_ = observed_.output.size();
  return found;
}

void CorePlay::turn(std::size_t received_bytes) {
  const std::size_t steps_max = kStepsPerTurn + kStepsPerOctet * received_bytes;
  for (std::size_t steps = 0;; ++steps) {
    if (steps > steps_max) {
      violate("steps without progress");
      break;
    }
    if (!take(connection_.step())) break;
    flush();
  }
  flush();
  const core::Closing closing = connection_.closing();
  if (closing != core::Closing::no) {
    observed_.closed = true;
    if (!std::holds_alternative<core::Paused>(connection_.step()))
      violate("a step other than Paused after closing");
  } else if (rejected_) {
    violate("a rejection that does not close");
  } else if (connection_.deadline() < now_) {
    violate("a deadline in the past");
  }
}

bool CorePlay::take(const core::Step& step) {
  if (std::holds_alternative<core::NeedInput>(step)) return false;
  if (std::holds_alternative<core::Paused>(step)) {
    if (connection_.closing() == core::Closing::no)
      violate("Paused although nothing is in progress");
    return false;
  }
  if (rejected_) {
    violate("an event after Rejected");
    return false;
  }
  if (const auto* rejected = std::get_if<core::Rejected>(&step)) {
    on(*rejected);
  } else if (std::holds_alternative<core::HeadEnd>(step)) {
    on(connection_.head());
  } else if (const auto* data = std::get_if<core::BodyData>(&step)) {
    on(*data);
  } else if (const auto* end = std::get_if<core::BodyEnd>(&step)) {
    on(*end);
  }
  return true;
}

void CorePlay::on(const core::Head& head) {
  if (in_progress_) violate("a Head while a request is in progress");
  if (head.id <= last_id_)
    violate("request " + number(head.id) + " does not come after " + number(last_id_));
  last_id_ = head.id;
  in_progress_ = true;
  answered_ = false;
  late_content_ = false;
  content_ = head.content;
  content_bytes_ = head.content == core::Content::length ? head.content_bytes : 0;
  body_.clear();
  request_ = seen_request(head);
  observed_.methods.emplace_back(head.method);
  if (calling_ == Calling::complete || head.asterisk) return;
  if (head.path == kNoRead && !head.expects_continue) {
    observed_.requests.push_back(request_);
    answered_ = true;
    late_content_ = head.content != core::Content::none;
    answer();
  } else if (head.expects_continue) {
    connection_.continue_100(head.id);
  }
}

void CorePlay::on(const core::BodyData& data) {
  if (data.id != last_id_) violate("the body of request " + number(data.id));
  if (data.bytes.empty()) violate("an empty BodyData");
  if (answered_) return;
  if (!in_progress_) violate("a body after BodyEnd");
  body_ += text_of(data.bytes);
  if (content_ != core::Content::chunked && body_.size() > content_bytes_)
    violate("a longer body than announced");
  if (limits_.body_bytes_max != 0 && body_.size() > limits_.body_bytes_max)
    violate("a body over the limit");
}

void CorePlay::on(const core::BodyEnd& end) {
  if (end.id != last_id_) violate("the end of request " + number(end.id));
  if (answered_) return;
  if (!in_progress_) violate("a second BodyEnd");
  if (content_ != core::Content::chunked && body_.size() != content_bytes_)
    violate("a shorter body than announced");
  const core::Head& head = connection_.head();
  if (head.id != last_id_ || seen_request(head) != request_)
    violate("the head has changed before its end");
  in_progress_ = false;
  if (head.asterisk) {
    core::ServerResponse text;
    text.status = 204;
    text.date = kDate;
    text.server = kServer;
    text.close = false;
    connection_.respond_instead(last_id_, text);
    return;
  }
  complete(request_, head.path == kNoRead ? std::string() : body_, content_);
  observed_.requests.push_back(request_);
  answer();
}

void CorePlay::on(const core::Rejected& rejected) {
  rejected_ = true;
  observed_.fault = std::to_string(rejected.status) + ", " + core::describe(rejected, limits_);
  // After the response, a fault in the rest of the body only closes the connection. The core does
  // not report where that body ends and the next request begins.
  const bool only_closes = late_content_ && rejected.status == 0;
  if (only_closes) observed_.fault.clear();  // not reported: the limit of discarding may be first
  if (!only_closes && rejected.status != core::status_of(rejected.fault))
    violate("a status that is not that of the fault");
  if (core::reason(rejected.fault).empty()) violate("a fault without a reason");
  if (rejected.offending.size() > 80) violate("more than 80 offending bytes");
  if (rejected.in_body_of != core::RequestId::none &&
      (rejected.in_body_of != last_id_ || !in_progress_)) {
    violate("a fault in a body that is not being read");
  }
  if (rejected.status == 0) return;
  core::ServerResponse text;
  text.status = rejected.status;
  text.sentence = core::reason(rejected.fault);
  text.request_id = "test-1";
  text.date = kDate;
  text.server = kServer;
  if (!in_progress_ && connection_.content_bytes(text) == 0) observed_.methods.emplace_back("HEAD");
  connection_.reject(text);
}

void CorePlay::answer() {
  const core::ResponseFields fields(std::array{core::Field{"Content-Type", "text/plain"}});
  core::ResponseHead head;
  head.status = "200 OK";
  head.fields = &fields;
  head.date = kDate;
  head.server = kServer;
  head.content_bytes = kAnswerText.size();
  in_progress_ = false;
  connection_.respond(last_id_, head);
  if (connection_.body(last_id_, bytes_of(kAnswerText)) == core::Outcome::over_length)
    violate("the response was truncated");
  if (connection_.finish(last_id_) != core::Outcome::ok) violate("the response has no end");
}

void CorePlay::flush() {
  std::uint64_t sent = 0;
  for (const core::Slice& slice : connection_.output()) {
    observed_.output += text_of(slice.bytes);
    sent += slice.bytes.size() + slice.file_bytes;
    if (slice.file_bytes != 0) violate("bytes of a file that was never given");
  }
  if (sent == 0) return;
  if (observed_.closed) violate("output after the close");
  connection_.sent(sent);
  if (!connection_.output().empty()) violate("output that was sent is still there");
}

}  // namespace iotax::conformance
