// The application obeys the order in core/transitions.h, and no other rule.
#include "conversation.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <variant>

#include "core/fault.h"
#include "core/response.h"
#include "llhttp_reader.h"
#include "runner/answers.h"
#include "runner/case.h"

namespace iotax::fuzz {
namespace {

constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::string_view kServer = "iotax";
constexpr std::size_t kStepsPerOctet = 4;
constexpr std::size_t kStepsPerTurn = 64;
constexpr char kFileOctet = '#';

// What applications pass in: typical, borderline, or invalid.
constexpr std::array<std::string_view, 12> kStatuses{
    "200 OK",  "404",     "204 No Content", "304 Not Modified",        "205 Reset Content",
    "999 Own", "200 ",    "500 \xE9",       "101 Switching Protocols", "099 Low",
    "20 Two",  "200 a\rb"};
constexpr std::array<core::Field, 13> kFields{{{"Content-Type", "text/plain"},
                                               {"x-Own", "\t a b \t"},
                                               {"X-Own", ""},
                                               {"Content-Length", "0"},
                                               {"content-length", "5"},
                                               {"Content-Length", "18446744073709551615"},
                                               {"Content-Length", "5, 5"},
                                               {"Date", "today"},
                                               {"SERVER", "other"},
                                               {"Transfer-Encoding", "chunked"},
                                               {"Connection", "close"},
                                               {"Set-Cookie", "a=\xFF"},
                                               {"X-Split", "a\r\nb: c"}}};
constexpr std::array<std::size_t, 7> kBlockSizes{
    0, 1, 2, 5, 300, core::kCopyBytesMax, core::kCopyBytesMax + 1};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string_view without_blanks(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

/// RFC 9110 §6.4.1.
bool without_content(const Meant& meant) {
  return meant.head_request || meant.status == 204 || meant.status == 304;
}

/// The body that the client may see.
std::string_view content_of(const Meant& meant) {
  if (without_content(meant)) return {};
  const std::string_view given = meant.content;
  return meant.length ? given.substr(0, std::min<std::uint64_t>(given.size(), *meant.length))
                      : given;
}

/// The complete declared length was given: a response that ends there is complete for the client.
bool reaches_its_length(const Meant& meant) {
  return without_content(meant) || (meant.length && content_of(meant).size() == *meant.length);
}

/// The fields that the application wrote, in its order, without those of the server.
std::vector<std::pair<std::string, std::string>> own_fields(const conformance::Answer& answer,
                                                            const Meant& meant) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& field : answer.fields) {
    const std::string& name = field.first;
    const bool framing =
        name == "connection" || name == "content-length" || name == "transfer-encoding";
    if (framing || (name == "date" && !meant.dates) || (name == "server" && !meant.serves))
      continue;
    found.push_back(field);
  }
  return found;
}

std::string difference(const conformance::Answer& seen, const Meant& meant) {
  if (seen.status != meant.status) return "another status";
  if (!meant.by_server) {
    if (!meant.reason.empty() && seen.reason != meant.reason) return "another reason";
    if (own_fields(seen, meant) != meant.fields) return "other fields";
  }
  if (seen.content != content_of(meant)) return "other content";
  if (meant.finished && !seen.complete) return "no end";
  if (!meant.finished && seen.complete && !reaches_its_length(meant))
    return "a truncation that does not show";
  const std::string* length = seen.field("content-length");
  if (meant.status == 204 && length != nullptr) return "a length in a 204";
  return {};
}

}  // namespace

Conversation::Conversation(const core::Limits& limits, const core::Policy& policy, Choices choices)
    : limits_(limits), choices_(choices), connection_(limits, policy, now_) {}

void Conversation::die(const std::string& why) const {
  std::fprintf(stderr, "\n%s\n  sent      %s\n  got       %s\n", why.c_str(),
               conformance::escaped(sent_).c_str(), conformance::escaped(output_, 4000).c_str());
  for (const Meant& meant : meant_) {
    std::fprintf(stderr, "  meant     %d %s, %zu bytes of body%s%s\n", meant.status,
                 meant.by_server ? "by the server" : "", meant.content.size(),
                 meant.finished ? ", finished" : "", meant.head_request ? ", to HEAD" : "");
  }
  std::abort();
}

// ---- the client

void Conversation::receive(std::string_view octets) {
  if (closed() || octets.empty()) return;
  sent_ += octets;
  largest_receive_ = std::max(largest_receive_, octets.size());
  // A copy of exactly this size: a sanitizer detects reads beyond it and views that outlive it.
  auto copy = std::make_unique<std::byte[]>(octets.size());
  std::memcpy(copy.get(), octets.data(), octets.size());
  connection_.on_time(now_);
  connection_.receive({copy.get(), octets.size()});
  received_ = std::move(copy);
  turn();
}

void Conversation::eof() {
  if (closed()) return;
  finished_ = true;
  connection_.on_time(now_);
  connection_.receive_eof();
  turn();
}

void Conversation::pass(core::Duration time) {
  now_ += time;
  if (closed()) return;
  connection_.on_time(now_);
  turn();
}

bool Conversation::pass_to_deadline() {
  const core::Instant due = connection_.deadline();
  if (due == core::kNever) return false;
  pass(due > now_ ? due - now_ : core::Duration{});
  return true;
}

// ---- the connection

void Conversation::turn() {
  const std::size_t most = kStepsPerTurn + kStepsPerOctet * largest_receive_;
  for (std::size_t steps = 0; step(); ++steps) {
    if (steps > most) die("steps without progress");
  }
  received_.reset();  // the connection has copied what it still needs
  if (connection_.idle() && connection_.output().empty() && connection_.buffered_bytes() != 0)
    die("an idle connection holds memory");
  // Two buffers, which grow by doubling from their smallest size.
  constexpr std::size_t kDesk = 1024, kSmallest = 512;
  if (connection_.buffered_bytes() >
      kDesk + 2 * (limits_.head_bytes_max + largest_receive_ + kSmallest))
    die("more is buffered than the limit");
  if (!closed() && connection_.deadline() < now_) die("a deadline in the past");
}

/// False: the turn has ended.
bool Conversation::step() {
  const bool was_closed = closed();
  const core::Step step = connection_.step();
  if (std::holds_alternative<core::NeedInput>(step)) return false;
  if (std::holds_alternative<core::Paused>(step)) return false;
  if (was_closed) die("an event after the close");
  if (refusal_) die("an event after a rejection");
  if (std::holds_alternative<core::HeadEnd>(step)) {
    begin();
  } else if (const auto* data = std::get_if<core::BodyData>(&step)) {
    if (data->id != id_ || complete_) die("a body without a request");
    if (data->bytes.empty()) die("an empty BodyData");
    content_bytes_ += data->bytes.size();
    if (limits_.body_bytes_max != 0 && content_bytes_ > limits_.body_bytes_max)
      die("a body over the limit");
  } else if (const auto* end = std::get_if<core::BodyEnd>(&step)) {
    if (end->id != id_ || complete_) die("an end without a request");
    complete_ = true;
  } else if (const auto* rejected = std::get_if<core::Rejected>(&step)) {
    if (rejected->in_body_of != core::RequestId::none && rejected->in_body_of != id_)
      die("a body fault without a request");
    if (rejected->status == 0) {
      if (stage_ == Stage::none && !closed()) die("an end that does not close");
    } else {
      refusal_ = rejected->status;
      if (rejected->in_body_of == core::RequestId::none || !early_ || choices_.yes()) refuse();
    }
  }
  while (early_ && in_progress() && choices_.yes()) act();
  return true;
}

void Conversation::begin() {
  const core::Head& head = connection_.head();
  if (in_progress()) die("a request within a request");
  if (head.id <= id_) die("a request out of order");
  if (!meant_.empty() && !meant_.back().finished) die("a request after a truncated response");
  id_ = head.id;
  stage_ = Stage::owed;
  complete_ = false;
  content_bytes_ = 0;
  Meant meant;
  meant.head_request = head.method == "HEAD";
  meant.continued = head.expects_continue;
  meant_.push_back(std::move(meant));
}

void Conversation::refuse() {
  const core::ServerResponse text = server_response(*std::exchange(refusal_, std::nullopt));
  const bool head_request = connection_.content_bytes(text) == 0;
  connection_.reject(text);
  if (!closed()) {
    if (stage_ != Stage::open) die("a rejection that does not close");
    return;  // the application's response came first
  }
  if (!in_progress()) meant_.emplace_back();
  meant_by_server(text);
  meant_.back().head_request = head_request;
  stage_ = Stage::none;
}

void Conversation::meant_by_server(const core::ServerResponse& answer) {
  Meant& meant = meant_.back();
  meant.status = answer.status;
  meant.by_server = true;
  meant.length.reset();
  meant.content = std::string(answer.sentence) + '\n';
  meant.finished = true;
}

core::ServerResponse Conversation::server_response(int status) const {
  core::ServerResponse text;
  text.status = status;
  text.sentence = "no";
  text.date = kDate;
  text.server = kServer;
  return text;
}

// ---- the application

void Conversation::act() {
  if (!in_progress()) return act_late();
  switch (choices_.below(10)) {
    case 0:
      if (stage_ == Stage::open) return end(true);
      return respond();
    case 1:
      if (stage_ == Stage::owed) return respond();
      return body(choices_.one_of(kBlockSizes));
    case 2:
      if (stage_ == Stage::owed) return respond();
      return body(choices_.below(64));
    case 3:
      if (stage_ == Stage::open) return body_file();
      return respond();
    case 4:
      if (stage_ == Stage::owed) return answer(choices_.yes() ? 500 : 503);
      return end(true);
    case 5:
      return end(false);
    case 6: {
      const core::ResponseFields hints(std::array{core::Field{"Link", "</a>; rel=preload"}});
      if (stage_ == Stage::owed && connection_.head().version == core::Version::http_1_1)
        ++meant_.back().interims;
      return connection_.inform(id_, 103, hints);
    }
    case 7:
      return connection_.continue_100(id_);
    case 8:
      return act_late();
    default:
      if (refusal_) refuse();
  }
}

void Conversation::act_to_the_end() {
  // Each round takes choices; after their end the first options respond and finish.
  while (in_progress()) act();
}

/// Use an id that is no longer, or not yet, in progress: the calls must have no effect.
void Conversation::act_late() {
  const auto number = static_cast<std::uint64_t>(id_);
  const core::RequestId others[] = {core::RequestId::none, core::RequestId{number + 1},
                                    core::RequestId{number == 0 ? 0 : number - 1},
                                    in_progress() ? core::RequestId::none : id_};
  const core::RequestId late = choices_.one_of(others);
  const std::size_t before = output_size();
  core::ResponseHead head;
  head.status = "200 OK";
  switch (choices_.below(8)) {
    case 0:
      static_cast<void>(connection_.respond(late, head));
      break;
    case 1:
      static_cast<void>(connection_.body(late, bytes_of("late")));
      break;
    case 2:
      static_cast<void>(connection_.finish(late));
      break;
    case 3:
      connection_.abort(late);
      break;
    case 4:
      connection_.respond_instead(late, server_response(500));
      break;
    case 5:
      connection_.inform(late, 103, core::ResponseFields());
      break;
    case 6:
      connection_.continue_100(late);
      break;
    default:
      static_cast<void>(connection_.body_file(late, 5));
  }
  if (output_size() != before) die("output of a call that came too late");
}

void Conversation::respond() {
  Meant& meant = meant_.back();
  const bool usual = choices_.below(8) != 7;
  const std::string status(usual ? choices_.one_of(kStatuses) : choices_.text(16));
  if (core::check_status(status) != core::HeadFault::none) return answer(500);
  core::ResponseFields fields;
  std::optional<std::uint64_t> own;
  for (std::size_t left = choices_.below(5); left != 0; --left) {
    core::Field field;
    if (choices_.below(8) != 7) {
      field = choices_.one_of(kFields);
    } else {
      field.name = choices_.text(24);
      field.value = choices_.text(24);
    }
    const std::string name = lower(field.name);
    if (fields.add(field) != core::HeadFault::none) continue;
    if (name == "content-length") {
      own = fields.length();
      continue;
    }
    meant.dates |= name == "date";
    meant.serves |= name == "server";
    meant.fields.emplace_back(name, without_blanks(field.value));
  }
  core::ResponseHead head;
  head.status = status;
  head.fields = &fields;
  head.date = kDate;
  head.server = kServer;
  if (choices_.yes()) head.content_bytes = choices_.below(64);
  meant.status = connection_.respond(id_, head);
  if (meant.status != core::code_of(status)) die("respond() has another status");
  if (status.size() > 3) meant.reason = status.substr(4);
  meant.length = own ? own : head.content_bytes;
  if (meant.status == 205 && !meant.head_request) meant.length = 0;
  stage_ = Stage::open;
}

void Conversation::body(std::size_t size) {
  Meant& meant = meant_.back();
  block_.assign(size, static_cast<char>('a' + meant.content.size() % 26));
  meant.content += block_;
  const core::Outcome outcome = connection_.body(id_, bytes_of(block_));
  if (size > core::kCopyBytesMax) take_output();  // the block was only referenced
  core::Outcome due = core::Outcome::ok;
  if (size != 0 && reaches_its_length(meant)) due = core::Outcome::complete;
  if (size != 0 && !without_content(meant) && meant.length && meant.content.size() > *meant.length)
    due = core::Outcome::over_length;
  if (outcome != due) die("body() has another outcome");
}

void Conversation::body_file() {
  Meant& meant = meant_.back();
  if (!meant.length) return;
  const std::size_t size = choices_.below(128);
  meant.content.append(size, kFileOctet);
  static_cast<void>(connection_.body_file(id_, size));
}

void Conversation::end(bool finish) {
  Meant& meant = meant_.back();
  if (finish) {
    meant.finished = !meant.length || reaches_its_length(meant);
    const auto due = meant.finished ? core::Outcome::ok : core::Outcome::short_length;
    if (connection_.finish(id_) != due) die("finish() has another outcome");
  } else {
    connection_.abort(id_);
    meant.finished = false;
  }
  if (!meant.finished && !closed()) die("a truncated response that does not close");
  over();
}

void Conversation::answer(int status) {
  core::ServerResponse text = server_response(status);
  text.close = choices_.yes();
  connection_.respond_instead(id_, text);
  meant_by_server(text);
  over();
}

/// The request has ended; pipelined input comes next.
void Conversation::over() {
  if (says_close() && !closed()) die("sends Connection: close and continues");
  stage_ = Stage::none;
  refusal_.reset();  // the application's response came first
}

/// Check the last head that was sent.
bool Conversation::says_close() const {
  std::string out = output_;
  for (const core::Slice& slice : connection_.output())
    out.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.bytes.size());
  const std::size_t begin = out.rfind("HTTP/1.1 ");  // no body contains that
  if (begin == std::string::npos) return false;
  const std::string_view head = std::string_view(out).substr(begin, out.find("\r\n\r\n", begin));
  return head.find("\r\nConnection: close\r\n") != std::string_view::npos;
}

// ---- the driver

std::size_t Conversation::output_size() const {
  std::size_t size = 0;
  for (const core::Slice& slice : connection_.output())
    size += slice.bytes.size() + static_cast<std::size_t>(slice.file_bytes);
  return size;
}

void Conversation::take_output() {
  std::uint64_t taken = 0;
  for (const core::Slice& slice : connection_.output()) {
    output_.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.bytes.size());
    output_.append(static_cast<std::size_t>(slice.file_bytes), kFileOctet);
    taken += slice.bytes.size() + slice.file_bytes;
  }
  if (taken != 0) connection_.sent(taken);
  if (!connection_.output().empty()) die("output that was sent is still there");
}

void Conversation::take_some_output() {
  const std::size_t before = output_size();
  std::size_t left = std::min(before, choices_.below(256));
  const std::size_t taken = left;
  for (const core::Slice& slice : connection_.output()) {
    const std::size_t size = slice.bytes.size() + static_cast<std::size_t>(slice.file_bytes);
    const std::size_t part = std::min(left, size);
    if (slice.file_bytes != 0) {
      output_.append(part, kFileOctet);
    } else {
      output_.append(reinterpret_cast<const char*>(slice.bytes.data()), part);
    }
    left -= part;
  }
  if (taken != 0) connection_.sent(taken);
  if (output_size() != before - taken) die("sent() took something else");
}

void Conversation::close_soon() { connection_.close_soon(); }

// ---- verdict

void Conversation::judge() {
  take_output();
  const bool reset = connection_.closing() == core::Closing::reset;
  std::vector<std::string> methods;
  for (const Meant& meant : meant_) methods.emplace_back(meant.head_request ? "HEAD" : "GET");
  const auto strict = conformance::read_answers(output_, methods, closed() && !reset);
  if (!strict.error.empty()) die("output: " + strict.error);
  const auto usual = read_with_llhttp(output_, methods, closed() && !reset);
  if (!usual.error.empty()) die("llhttp: " + usual.error);

  std::vector<conformance::Answer> finals;
  std::size_t interims = 0;
  for (const conformance::Answer& answer : usual.all) {
    if (!answer.interim()) {
      finals.push_back(answer);
      continue;
    }
    if (answer.status == 100 &&
        (finals.size() >= meant_.size() || !meant_[finals.size()].continued))
      die("a 100 (Continue) that the client does not wait for");
    if (answer.status == 103) ++interims;
  }
  std::size_t due = 0, interims_due = 0;
  for (const Meant& meant : meant_) {
    interims_due += meant.interims;
    // An aborted response may have sent nothing; then it is the last one.
    if (due == finals.size() && due < meant_.size() && !meant.finished && &meant == &meant_.back())
      continue;
    if (due == finals.size()) die("a response is missing");
    conformance::Answer seen = finals[due];
    if (due >= strict.finals.size()) die("the two readers differ");
    seen.reason = strict.finals[due].reason;
    if (seen.content != strict.finals[due].content || seen.status != strict.finals[due].status)
      die("the two readers differ");
    const std::string differs = difference(seen, meant);
    if (!differs.empty()) die("response " + std::to_string(due + 1) + ": " + differs);
    ++due;
  }
  if (due != finals.size()) die("more responses than were meant");
  if (interims != interims_due) die("103 responses are missing, or too many");
}

}  // namespace iotax::fuzz
