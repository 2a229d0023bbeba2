// Room is made once per head; behind that every piece is one copy.
#include "core/serialise.h"

#include <array>
#include <charconv>

#include "core/head.h"
#include "core/octets.h"

namespace iotax::core {
namespace {

constexpr std::string_view kAllow = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";
constexpr std::size_t kNumberMax = 20;

struct Number {
  explicit Number(std::uint64_t value, int base = 10) noexcept
      : end(std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr) {}
  [[nodiscard]] std::string_view text() const noexcept { return {digits.data(), static_cast<std::size_t>(end - digits.data())}; }
  std::array<char, kNumberMax> digits;
  const char* end;
};

void put_field(Bytes& out, std::string_view name, std::string_view value) noexcept {
  out.put(name);
  out.put(": ");
  out.put(value);
  out.put("\r\n");
}

std::string_view connection_field(Persist persist) noexcept {
  switch (persist) {
    case Persist::silently: return "";
    case Persist::said: return "Connection: keep-alive\r\n";
    case Persist::close: return "Connection: close\r\n";
  }
  return "";
}

bool is_length(std::string_view name) noexcept { return name.size() == 14 && same_token(name, "content-length"); }

}  // namespace

FieldFacts look_at(std::span<const Field> fields) noexcept {
  FieldFacts facts;
  for (const Field& field : fields) {
    facts.bytes += field.name.size() + field.value.size() + 4;
    switch (field.name.size()) {
      case 4: facts.date = facts.date || same_token(field.name, "date"); break;
      case 6: facts.server = facts.server || same_token(field.name, "server"); break;
      case 14:
        if (is_length(field.name)) facts.length = parse_length(trimmed(field.value));
        break;
      default: break;
    }
  }
  return facts;
}

int code_of(std::string_view status) noexcept {
  return (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
}

void write_start(Bytes& out, const ResponseHead& head, const FieldFacts& facts) {
  constexpr std::size_t kFixed = 256;  // everything the server writes around the application's text
  out.make_room(head.status.size() + head.date.size() + head.server.size() + facts.bytes + kFixed);
  out.put("HTTP/1.1 ");
  out.put(head.status);
  if (head.status.size() == 3) {
    out.put(" ");
    out.put(reason_phrase(code_of(head.status)));
  }
  out.put("\r\n");
  if (!facts.date && !head.date.empty()) put_field(out, "Date", head.date);
  if (!facts.server && !head.server.empty()) put_field(out, "Server", head.server);
}

void write_framing(Bytes& out, Persist persist, const Decision& decision) {
  constexpr std::size_t kMost = 96;
  out.make_room(kMost);
  out.put(connection_field(persist));
  if (decision.add_length) put_field(out, "Content-Length", Number(*decision.add_length).text());
  if (decision.framing == Framing::chunked) out.put("Transfer-Encoding: chunked\r\n");
}

void write_fields(Bytes& out, std::span<const Field> fields, const FieldFacts& facts, const Decision& decision) {
  out.make_room(facts.bytes + 2);
  bool length_out = !decision.keep_own_length;
  for (const Field& field : fields) {
    if (is_length(field.name)) {
      if (length_out) continue;
      length_out = true;
    }
    put_field(out, field.name, trimmed(field.value));
  }
  out.put("\r\n");
}

void write_chunk_line(Bytes& out, std::uint64_t bytes) {
  out.append(Number(bytes, 16).text());
  out.append("\r\n");
}

void write_interim(Bytes& out, int status, std::span<const Field> fields) {
  const FieldFacts facts = look_at(fields);
  out.append("HTTP/1.1 ");
  out.append(Number(static_cast<std::uint64_t>(status)).text());
  out.append(" ");
  out.append(reason_phrase(status));
  out.append("\r\n");
  write_fields(out, fields, facts, Decision{});
}

void write_answer(Bytes& out, const ServerAnswer& answer, Persist persist, bool head_request) {
  constexpr std::string_view kIdLabel = "Request ID: ";
  const bool content = answer.status != 204;
  const std::size_t id_line = answer.request_id.empty() ? 0 : kIdLabel.size() + answer.request_id.size() + 1;
  const std::size_t content_bytes = answer.sentence.size() + 1 + id_line;
  constexpr std::size_t kFixed = 512;
  out.make_room(answer.date.size() + answer.server.size() + content_bytes + kFixed);
  out.put("HTTP/1.1 ");
  out.put(Number(static_cast<std::uint64_t>(answer.status)).text());
  out.put(" ");
  out.put(reason_phrase(answer.status));
  out.put("\r\n");
  if (!answer.date.empty()) put_field(out, "Date", answer.date);
  if (!answer.server.empty()) put_field(out, "Server", answer.server);
  out.put(connection_field(persist));
  if (answer.status == 405 || answer.status == 204) out.put(kAllow);
  if (answer.retry_after_s != 0) put_field(out, "Retry-After", Number(answer.retry_after_s).text());
  if (content) {
    put_field(out, "Content-Type", "text/plain; charset=utf-8");
    put_field(out, "Content-Length", Number(content_bytes).text());
  }
  out.put("\r\n");
  if (!content || head_request) return;
  out.put(answer.sentence);
  out.put("\n");
  if (id_line == 0) return;
  out.put(kIdLabel);
  out.put(answer.request_id);
  out.put("\n");
}

}  // namespace iotax::core
