// Memory is reserved once per head; after that every piece is one copy.
#include "core/serialize.h"

#include <charconv>
#include <cstring>

#include "core/char_class.h"
#include "core/reason_phrase.h"
#include "core/text.h"

namespace iotax::core {
namespace {

constexpr std::string_view kAllow = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";
constexpr std::string_view kIdLabel = "Request ID: ";  // of the server's own responses
constexpr std::size_t kNumberMax = 20;

/// Appends at a position with enough room after it.
class Pen {
 public:
  explicit Pen(char* at) noexcept : at_(at) {}
  [[nodiscard]] char* at() const noexcept { return at_; }

  template <std::size_t N>
  void put(const char (&literal)[N]) noexcept {
    std::memcpy(at_, literal, N - 1);
    at_ += N - 1;
  }
  void text(std::string_view text) noexcept { at_ = copy_text(at_, text); }
  void number(std::uint64_t value, int base = 10) noexcept {
    at_ = std::to_chars(at_, at_ + kNumberMax, value, base).ptr;
  }
  void field(const Field& field) noexcept {
    text(field.name);
    put(": ");
    text(field.value);
    put("\r\n");
  }

 private:
  char* at_;
};

void put_connection(Pen& pen, Persist persist) noexcept {
  switch (persist) {
    case Persist::silently:
      break;
    case Persist::said:
      pen.put("Connection: keep-alive\r\n");
      break;
    case Persist::close:
      pen.put("Connection: close\r\n");
      break;
  }
}

/// Upper bound for the fixed text around the variable parts of a head.
constexpr std::size_t kAround = 192;

std::size_t room_for(const ResponseHead& head, const ResponseFields& fields) noexcept {
  return head.status.size() + head.date.size() + head.server.size() + head.request_id.name.size() +
         head.request_id.value.size() + fields.lines().size() + kAround;
}

void put_start(Pen& pen, const ResponseHead& head, const ResponseFields& fields) noexcept {
  pen.put("HTTP/1.1 ");
  pen.text(head.status);
  if (head.status.size() == 3) {
    pen.put(" ");
    pen.text(reason_phrase(code_of(head.status)));
  }
  if (!fields.has_date() && !head.date.empty()) {
    pen.put("\r\nDate: ");
    pen.text(head.date);
  }
  if (!fields.has_server() && !head.server.empty()) {
    pen.put("\r\nServer: ");
    pen.text(head.server);
  }
  pen.put("\r\n");
  if (!head.request_id.name.empty() && !fields.has(head.request_id.name)) [[unlikely]]
    pen.field(head.request_id);
}

void put_framing(Pen& pen, Persist persist, const Decision& decision) noexcept {
  put_connection(pen, persist);
  if (decision.add_length) {
    pen.put("Content-Length: ");
    pen.number(*decision.add_length);
    pen.put("\r\n");
  }
  if (decision.framing == Framing::chunked) pen.put("Transfer-Encoding: chunked\r\n");
}

/// Write the application's Content-Length only if `keep_length`.
void put_fields(Pen& pen, const ResponseFields& fields, bool keep_length) noexcept {
  const std::string_view lines = fields.lines();
  const std::string_view left_out = keep_length ? std::string_view() : fields.length_line();
  if (left_out.empty()) {
    pen.text(lines);
  } else {
    pen.text(lines.substr(0, static_cast<std::size_t>(left_out.data() - lines.data())));
    pen.text({left_out.data() + left_out.size(), lines.data() + lines.size()});
  }
  pen.put("\r\n");
}

}  // namespace

void write_head(Bytes& out, const ResponseHead& head, const ResponseFields& fields, Persist persist,
                const Decision& decision) {
  Pen pen(out.open(room_for(head, fields)));
  put_start(pen, head, fields);
  put_framing(pen, persist, decision);
  put_fields(pen, fields, decision.keep_own_length);
  out.close(pen.at());
}

std::size_t write_open_head(Bytes& out, const ResponseHead& head, const ResponseFields& fields) {
  Pen pen(out.open(room_for(head, fields)));
  put_start(pen, head, fields);
  const auto framing_at = static_cast<std::size_t>(pen.at() - out.data());
  put_fields(pen, fields, false);
  out.close(pen.at());
  return framing_at;
}

void write_framing(Bytes& out, Persist persist, const Decision& decision) {
  Pen pen(out.open(kAround));
  put_framing(pen, persist, decision);
  out.close(pen.at());
}

void write_chunk_line(Bytes& out, std::uint64_t bytes) {
  Pen pen(out.open(kNumberMax + 2));
  pen.number(bytes, 16);
  pen.put("\r\n");
  out.close(pen.at());
}

void write_interim(Bytes& out, int status, const ResponseFields& fields) {
  Pen pen(out.open(fields.lines().size() + kAround));
  pen.put("HTTP/1.1 ");
  pen.number(static_cast<std::uint64_t>(status));
  pen.put(" ");
  pen.text(reason_phrase(status));
  pen.put("\r\n");
  put_fields(pen, fields, false);
  out.close(pen.at());
}

std::size_t content_bytes(const ServerResponse& response) noexcept {
  if (response.status == 204) return 0;
  const std::size_t id_line =
      response.request_id.empty() ? 0 : kIdLabel.size() + response.request_id.size() + 1;
  return response.sentence.size() + 1 + id_line;
}

void write_server_response(Bytes& out, const ServerResponse& response, Persist persist,
                           bool head_request) {
  constexpr std::size_t kAroundServerResponse = 512;
  const std::string_view phrase = reason_phrase(response.status);
  const std::size_t content = content_bytes(response);
  Pen pen(out.open(response.date.size() + response.server.size() + content +
                   response.request_id_header.size() + response.request_id.size() +
                   kAroundServerResponse));
  pen.put("HTTP/1.1 ");
  pen.number(static_cast<std::uint64_t>(response.status));
  pen.put(" ");
  pen.text(phrase);
  pen.put("\r\n");
  if (!response.date.empty()) pen.field({"Date", response.date});
  if (!response.server.empty()) pen.field({"Server", response.server});
  if (!response.request_id_header.empty())
    pen.field({response.request_id_header, response.request_id});
  put_connection(pen, persist);
  if (response.status == 405 || response.status == 204) pen.text(kAllow);
  if (response.retry_after_s != 0) {
    pen.put("Retry-After: ");
    pen.number(response.retry_after_s);
    pen.put("\r\n");
  }
  if (content != 0) {
    pen.put("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ");
    pen.number(content);
    pen.put("\r\n");
  }
  pen.put("\r\n");
  if (content != 0 && !head_request) {
    pen.text(response.sentence);
    pen.put("\n");
    if (!response.request_id.empty()) {
      pen.text(kIdLabel);
      pen.text(response.request_id);
      pen.put("\n");
    }
  }
  out.close(pen.at());
}

}  // namespace iotax::core
