#include "scripted_exchange.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace iotax::bridge::testing {
namespace {

using driver::BodyError;
using driver::Sent;

py::bytes to_bytes(std::string_view text) { return {text.data(), text.size()}; }

/// The lines as pairs of name and value.
py::list to_list(const core::ResponseFields* fields) {
  py::list list;
  std::string_view rest = fields == nullptr ? std::string_view() : fields->lines();
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    const std::size_t colon = line.find(": ");
    list.append(py::make_tuple(to_bytes(line.substr(0, colon)), to_bytes(line.substr(colon + 2))));
    rest.remove_prefix(line.size() + 2);
  }
  return list;
}

const char* name_of(Sent sent) {
  switch (sent) {
    case Sent::ok:
      return "ok";
    case Sent::complete:
      return "complete";
    case Sent::over_length:
      return "over_length";
    case Sent::short_length:
      return "short_length";
    case Sent::gone:
      return "gone";
  }
  return "";
}

BodyError error_of(const std::string& name) {
  if (name == "disconnected") return BodyError::disconnected;
  if (name == "timed_out") return BodyError::timed_out;
  if (name == "malformed") return BodyError::malformed;
  return BodyError::storage;
}

std::string text_of(const py::dict& request, const char* key, const char* otherwise) {
  return request.contains(key) ? request[key].cast<std::string>() : std::string{otherwise};
}

bool flag_of(const py::dict& request, const char* key, bool otherwise) {
  return request.contains(key) ? request[key].cast<bool>() : otherwise;
}

}  // namespace

ScriptedExchange::ScriptedExchange(const py::dict& request, py::object events,
                                   driver::Application& application, unsigned thread)
    : application_(application), thread_(thread), events_(std::move(events)) {
  const auto given =
      request.contains("headers")
          ? request["headers"].cast<std::vector<std::pair<std::string, std::string>>>()
          : std::vector<std::pair<std::string, std::string>>{{"Host", "example.test"}};
  const std::string target = text_of(request, "target", "/");
  const std::size_t question = target.find('?');
  texts_.reserve(5 + 2 * given.size());  // views into the texts must stay
  texts_ = {text_of(request, "method", "GET"), target,
            text_of(request, "path", target.substr(0, question).c_str()),
            question == std::string::npos ? "" : target.substr(question + 1),
            text_of(request, "authority", "")};
  head_.method = texts_[0];
  head_.target = texts_[1];
  head_.path = texts_[2];
  head_.query = texts_[3];
  head_.authority = texts_[4];
  head_.version = text_of(request, "version", "1.1") == "1.0" ? core::Version::http_1_0
                                                              : core::Version::http_1_1;
  for (const auto& [name, value] : given) {
    texts_.push_back(name);
    texts_.push_back(value);
    fields_.push_back({texts_[texts_.size() - 2], texts_.back()});
  }
  head_.fields = fields_;
  id_ = text_of(request, "id", "id-1");
  body_ = text_of(request, "body", "");
  if (request.contains("pieces")) {
    streamed_ = true;
    for (const py::handle piece : request["pieces"].cast<py::list>()) {
      pieces_.push_back(py::reinterpret_borrow<py::object>(piece));
      if (py::isinstance<py::bytes>(piece)) head_.content_bytes += piece.cast<std::string>().size();
    }
    size_known_ = flag_of(request, "size_known", true);
  } else {
    head_.content_bytes = body_.size();
  }
  stored_ = flag_of(request, "stored", false);
  if (flag_of(request, "chunked", false)) {
    head_.content = core::Content::chunked;
  } else if (streamed_ || !body_.empty()) {
    head_.content = core::Content::length;
  }
  peer_ = {"127.0.0.1", "40000", "127.0.0.1", "8000", false};
  if (flag_of(request, "unix", false)) peer_ = {"", "", "", "", true};
  if (request.contains("peer")) {
    const auto [remote, remote_port, local, local_port] =
        request["peer"].cast<std::tuple<std::string, std::string, std::string, std::string>>();
    peer_ = {remote, remote_port, local, local_port, false};
  }
  if (const std::string header = text_of(request, "proxy_header", ""); !header.empty()) {
    core::ProxyReader reader(core::Instant{}, core::Duration::zero());
    std::size_t used = 0;
    if (reader.receive(header, used) != core::ProxyReader::Found::header)
      throw py::value_error(std::string(reason(reader.fault())));
    driver::take_proxy_header(peer_, std::move(reader.header()));
  }
  if (request.contains("gone")) gone_call_ = request["gone"];
  if (request.contains("gone_after")) gone_after_ = request["gone_after"].cast<std::uint64_t>();
}

void ScriptedExchange::step_out_and_in() {
  application_.leave(thread_);
  application_.enter(thread_);
}

std::optional<std::uint64_t> ScriptedExchange::body_bytes() const noexcept {
  if (streamed_ && !size_known_) return std::nullopt;
  return head_.content_bytes;
}

std::optional<std::span<const std::byte>> ScriptedExchange::body_in_memory() const noexcept {
  if (streamed_ || stored_) return std::nullopt;
  return std::as_bytes(std::span{body_});
}

driver::BodyRead ScriptedExchange::read_body(std::span<std::byte> into) {
  step_out_and_in();
  if (stored_) {
    const std::string_view rest = std::string_view(body_).substr(stored_at_);
    const std::size_t got = rest.copy(reinterpret_cast<char*>(into.data()), into.size());
    stored_at_ += got;
    return {got, BodyError::none};
  }
  if (piece_.empty() && !pieces_.empty()) {
    py::object next = pieces_.front();
    if (py::isinstance<py::str>(next)) return {0, error_of(next.cast<std::string>())};
    pieces_.pop_front();
    if (!py::isinstance<py::bytes>(next)) next = next();
    piece_ = next.cast<std::string>();
  }
  const std::size_t bytes = std::min(into.size(), piece_.size());
  std::memcpy(into.data(), piece_.data(), bytes);
  piece_.erase(0, bytes);
  return {bytes, BodyError::none};
}

void ScriptedExchange::inform(int status, const core::ResponseFields& fields) {
  record([&] { return py::make_tuple("inform", status, to_list(&fields)); });
}

void ScriptedExchange::respond(core::ResponseHead& head) {
  declared_ = head.content_bytes;
  if (head.fields != nullptr && head.fields->length()) declared_ = head.fields->length();
  record([&] {
    return py::make_tuple(
        "respond", to_bytes(head.status), to_list(head.fields),
        head.content_bytes ? py::object{py::int_(*head.content_bytes)} : py::object{py::none()});
  });
}

Sent ScriptedExchange::count(std::uint64_t bytes) {
  sent_ += bytes;
  if (gone_after_ && sent_ > *gone_after_) return Sent::gone;
  if (!declared_ || sent_ < *declared_) return Sent::ok;
  return sent_ == *declared_ ? Sent::complete : Sent::over_length;
}

Sent ScriptedExchange::body(std::span<const std::byte> block) {
  step_out_and_in();
  const Sent sent = count(block.size());
  record([&] {
    return py::make_tuple("body",
                          to_bytes({reinterpret_cast<const char*>(block.data()), block.size()}),
                          name_of(sent));
  });
  return sent;
}

Sent ScriptedExchange::body_file(driver::UniqueFd file, std::uint64_t offset,
                                 std::uint64_t length) {
  std::string content(length, '\0');
  const ssize_t got =
      ::pread(file.get(), content.data(), content.size(), static_cast<off_t>(offset));
  content.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  record([&] { return py::make_tuple("file", offset, length, to_bytes(content)); });
  return count(length);
}

Sent ScriptedExchange::deliver() {
  step_out_and_in();
  record([] { return py::make_tuple("deliver"); });
  return gone_after_ && sent_ > *gone_after_ ? Sent::gone : Sent::ok;
}

Sent ScriptedExchange::finish() {
  ++ends_;
  const Sent sent =
      declared_ && sent_ < *declared_ && head_.method != "HEAD" ? Sent::short_length : Sent::ok;
  record([&] { return py::make_tuple("finish", name_of(sent)); });
  return sent;
}

void ScriptedExchange::fail(int status, std::string_view sentence) {
  ++ends_;
  record([&] { return py::make_tuple("fail", status, py::str(sentence.data(), sentence.size())); });
}

void ScriptedExchange::collect(std::size_t index, std::string_view value) {
  record([&] { return py::make_tuple("collect", index, py::bytes(value.data(), value.size())); });
}

void ScriptedExchange::failed_with(std::string_view exception) {
  record(
      [&] { return py::make_tuple("failed_with", py::str(exception.data(), exception.size())); });
}

void ScriptedExchange::abort() {
  ++ends_;
  record([] { return py::make_tuple("abort"); });
}

bool ScriptedExchange::gone() const noexcept { return gone_call_ && gone_call_().cast<bool>(); }

}  // namespace iotax::bridge::testing
