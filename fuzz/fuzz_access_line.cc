// Bytes that clients and applications choose, in access lines of every format: each line must read
// back, by readers that share no code with the formatter, as exactly what went in. No byte forges a
// line, a field or a key.
// Input: choices.h.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "choices.h"
#include "core/bytes.h"
#include "driver/log/access_format.h"
#include "driver/log/access_line.h"

namespace {

using namespace iotax;
using fuzz::Choices;

[[noreturn]] void fail(std::string_view why, std::string_view line) {
  std::fprintf(stderr, "%.*s\n%.*s\n", static_cast<int>(why.size()), why.data(),
               static_cast<int>(line.size()), line.data());
  std::abort();
}

void expect(bool holds, std::string_view why, std::string_view line) {
  if (!holds) fail(why, line);
}

/// What a line is about, and the entry that refers to it.
struct Request {
  explicit Request(Choices& choices) {
    static constexpr std::array<std::string_view, 4> kIds{"1", "deadbeef-1f", "a.b_c-d", "-"};
    peer.unix_socket = choices.yes();
    if (!peer.unix_socket) {
      peer.remote_addr = choices.yes() ? "::1" : "192.0.2.7";
      peer.remote_port = "65535";
    }
    if (choices.yes()) client = "2001:db8::9";
    id = choices.one_of(kIds);
    static constexpr std::array<int, 5> kStatuses{200, 499, 0, 299, -1};
    entry.status = choices.one_of(kStatuses);
    if (!choices.yes()) {  // a request line was recognized
      method = choices.yes() ? choices.text(40) : "GET";
      if (method.empty()) method = "G";
      target = "/";
      target.append(choices.text(200));
      if (choices.yes()) target.append(5000, target.back());
      path = target.substr(0, target.find('?'));
      query = target.size() > path.size() ? target.substr(path.size() + 1) : "";
      entry.version = "HTTP/1.1";
    }
    static constexpr std::array<std::string_view, 4> kNames{"X-A", "x-a", "Referer", "USER-AGENT"};
    for (std::size_t count = choices.below(5); count > 0; --count) {
      names.emplace_back(choices.one_of(kNames));
      values.emplace_back(choices.text(120));
    }
    for (driver::CollectedValue& one : collected) {
      one.there = choices.yes();
      if (one.there) one.text = choices.text(100);
    }
    error = choices.text(30);
    if (choices.yes()) entry.app = std::chrono::milliseconds{1};
    for (std::size_t i = 0; i < names.size(); ++i) fields.push_back({names[i], values[i]});
    entry.peer = &peer;
    entry.client = client;
    entry.method = method;
    entry.target = target;
    entry.path = path;
    entry.query = query;
    entry.fields = fields;
    entry.collected = collected;
    entry.request_id = id;
    entry.error = error;
  }
  Request(const Request&) = delete;

  /// The values of a field together; nothing if it is absent.
  [[nodiscard]] std::optional<std::string> field(std::string_view lower) const {
    std::optional<std::string> found;
    for (std::size_t i = 0; i < names.size(); ++i) {
      std::string name = names[i];
      for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      if (name != lower) continue;
      found = found ? *found + ", " + values[i] : values[i];
    }
    return found;
  }
  [[nodiscard]] std::string request_line() const {
    return method.empty() ? "-" : method + " " + target + " HTTP/1.1";
  }
  [[nodiscard]] std::string host() const {
    return !client.empty() ? client : peer.unix_socket ? "unix" : peer.remote_addr;
  }

  driver::Peer peer;
  std::string client, id, method, target, path, query, error;
  std::vector<std::string> names, values;
  std::vector<core::Field> fields;
  std::array<driver::CollectedValue, 3> collected;
  driver::AccessEntry entry;
};

std::string line_of(const driver::AccessFormat& format, const Request& request) {
  core::Bytes out;
  driver::append_access(out, format, request.entry);
  std::string line(out.text());
  expect(!line.empty() && line.back() == '\n', "no line end", line);
  line.pop_back();
  for (const char c : line) expect(c >= ' ' && c < 127, "not printable ASCII", line);
  return line;
}

// ---- text formats

/// The words of a line, separated by single spaces, with escapes and quotes removed. A word in
/// quotes begins with 'q', another with 'u'.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  std::string_view rest = line;
  while (true) {
    const bool quoted = rest.starts_with('"');
    std::string word(1, quoted ? 'q' : 'u');
    if (quoted) rest.remove_prefix(1);
    while (!rest.empty() && rest.front() != (quoted ? '"' : ' ')) {
      expect(rest.front() != '"', "a quote within a word", line);
      if (rest.front() == '\\') {
        expect(rest.size() >= 4 && rest[1] == 'x', "a lone backslash", line);
        word +=
            static_cast<char>(std::strtoul(std::string(rest.substr(2, 2)).c_str(), nullptr, 16));
        rest.remove_prefix(4);
      } else {
        word += rest.front();
        rest.remove_prefix(1);
      }
    }
    words.push_back(std::move(word));
    if (quoted) {
      expect(rest.starts_with('"'), "an open quote", line);
      rest.remove_prefix(1);
    }
    if (rest.empty()) return words;
    expect(rest.front() == ' ', "no space behind a word", line);
    rest.remove_prefix(1);
  }
}

void check_words(std::string_view line, const std::vector<std::string>& due) {
  expect(words_of(line) == due, "reads back differently", line);
}

std::string quoted(const std::optional<std::string>& value) { return "q" + value.value_or("-"); }

void check_default(const Request& request, bool timestamp) {
  const std::string line = line_of(driver::AccessFormat(timestamp), request);
  std::vector<std::string> due;
  if (timestamp) due.emplace_back("u1970-01-01T00:00:00.000Z");
  std::string client = request.host();
  if (request.client.empty() && !request.peer.unix_socket) {
    client = client.find(':') == std::string::npos ? client + ":65535" : "[" + client + "]:65535";
  }
  due.insert(due.end(), {"u" + client, "u-", "q" + request.request_line()});
  due.push_back(request.entry.status > 0 ? "u" + std::to_string(request.entry.status) : "u-");
  if (request.entry.status == 200) due.emplace_back("uOK");
  due.insert(due.end(), {"u0B", "u0.0ms", "u" + request.id});
  check_words(line, due);
}

driver::AccessFormat compiled(std::string_view text) {
  return std::get<driver::AccessFormat>(driver::AccessFormat::compile(text, false));
}

void check_combined(const Request& request) {
  static const driver::AccessFormat kFormat = compiled("combined");
  const driver::CollectedValue& user = request.collected[0];
  check_words(line_of(kFormat, request),
              {"u" + request.host(), "u-", "u" + (user.there ? user.text : "-"),
               "u[01/Jan/1970:00:00:00", "u+0000]", "q" + request.request_line(),
               request.entry.status > 0 ? "u" + std::to_string(request.entry.status) : "u-", "u-",
               quoted(request.field("referer")), quoted(request.field("user-agent"))});
}

void check_custom(const Request& request) {
  static const driver::AccessFormat kFormat = compiled(
      R"("%(m)s" "%(U)s" "%(q)s" %({X-A}i)s "%({x-a}i)s" %({K}e)s "%({Out}o)s" %({L}e)s %(app)s)");
  const auto shown = [](const std::string& text) { return text.empty() ? "-" : text; };
  const auto collected = [&](std::size_t n) {
    return request.collected[n].there ? request.collected[n].text : "-";
  };
  check_words(
      line_of(kFormat, request),
      {"q" + shown(request.method), "q" + shown(request.path), "q" + request.query,
       "u" + request.field("x-a").value_or("-"), quoted(request.field("x-a")), "u" + collected(0),
       "q" + collected(1), "u" + collected(2), request.entry.app ? "u0.001000" : "u-"});
}

// ---- JSON

/// UTF-8 as code points, with U+FFFD for each byte that does not belong to a character.
std::u32string decoded(std::string_view bytes) {
  std::u32string text;
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t used = 1;
    char32_t found = 0xfffd;
    for (std::size_t size = 1; size <= 4 && at + size <= bytes.size(); ++size) {
      // The character that these bytes would be, written again.
      char32_t character = static_cast<unsigned char>(bytes[at]);
      if (size > 1) character &= (0x80U >> size) - 1;
      for (std::size_t n = 1; n < size; ++n)
        character = character * 64 + (static_cast<unsigned char>(bytes[at + n]) & 63U);
      std::string again;
      if (character < 0x80) {
        again = static_cast<char>(character);
      } else if (character < 0x800) {
        again = {static_cast<char>(0xc0 | character >> 6),
                 static_cast<char>(0x80 | (character & 63))};
      } else if (character < 0x10000) {
        again = {static_cast<char>(0xe0 | character >> 12),
                 static_cast<char>(0x80 | (character >> 6 & 63)),
                 static_cast<char>(0x80 | (character & 63))};
      } else {
        again = {static_cast<char>(0xf0 | character >> 18),
                 static_cast<char>(0x80 | (character >> 12 & 63)),
                 static_cast<char>(0x80 | (character >> 6 & 63)),
                 static_cast<char>(0x80 | (character & 63))};
      }
      const bool lone = character >= 0xd800 && character < 0xe000;
      if (again == bytes.substr(at, size) && !lone && character <= 0x10ffff) {
        found = character;
        used = size;
        break;
      }
    }
    text += found;
    at += used;
  }
  return text;
}

class JsonReader {
 public:
  explicit JsonReader(std::string_view line) : line_(line), rest_(line) {}

  /// The members of a flat object in their order; lists of texts are joined with U+0000.
  std::vector<std::pair<std::string, std::u32string>> object() {
    std::vector<std::pair<std::string, std::u32string>> members;
    take('{');
    do {
      const std::u32string key = text();
      take(':');
      members.emplace_back(std::string(key.begin(), key.end()), value());
    } while (accept(','));
    take('}');
    expect(rest_.empty(), "more than an object", line_);
    return members;
  }

 private:
  bool accept(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void take(char c) { expect(accept(c), "not JSON", line_); }

  std::u32string value() {
    if (rest_.starts_with('"')) return text();
    std::u32string found;
    if (accept('[')) {
      found = text();
      while (accept(',')) found += U'\0' + text();
      take(']');
      return found;
    }
    while (!rest_.empty() && ((rest_[0] >= '0' && rest_[0] <= '9') || rest_[0] == '.')) {
      found += static_cast<char32_t>(rest_[0]);
      rest_.remove_prefix(1);
    }
    expect(!found.empty(), "no value", line_);
    return found;
  }

  char32_t unit() {
    expect(rest_.size() >= 4, "a short escape", line_);
    const auto value = std::strtoul(std::string(rest_.substr(0, 4)).c_str(), nullptr, 16);
    rest_.remove_prefix(4);
    return static_cast<char32_t>(value);
  }

  std::u32string text() {
    std::u32string found;
    take('"');
    while (!accept('"')) {
      expect(!rest_.empty(), "an open text", line_);
      const char c = rest_[0];
      rest_.remove_prefix(1);
      if (c != '\\') {
        found += static_cast<char32_t>(c);
      } else if (accept('u')) {
        char32_t character = unit();
        expect(character < 0xdc00 || character > 0xdfff, "half a pair", line_);
        if (character >= 0xd800 && character < 0xdc00) {
          take('\\');
          take('u');
          const char32_t low = unit();
          expect(low >= 0xdc00 && low <= 0xdfff, "half a pair", line_);
          character = 0x10000 + (character - 0xd800) * 0x400 + (low - 0xdc00);
        }
        found += character;
      } else if (accept('n')) {
        found += U'\n';
      } else {
        expect(rest_.starts_with('"') || rest_.starts_with('\\'), "an unknown escape", line_);
        found += static_cast<char32_t>(rest_[0]);
        rest_.remove_prefix(1);
      }
    }
    return found;
  }

  std::string_view line_;
  std::string_view rest_;
};

void check_json(const Request& request) {
  static const driver::AccessFormat kFormat = driver::AccessFormat::json();
  static constexpr std::array<std::string_view, 40> kOrder{"timestamp",
                                                           "severity",
                                                           "message",
                                                           "logger",
                                                           "process.pid",
                                                           "iotax.request_id",
                                                           "client.address",
                                                           "client.port",
                                                           "network.peer.address",
                                                           "network.peer.port",
                                                           "network.transport",
                                                           "network.protocol.name",
                                                           "network.protocol.version",
                                                           "http.request.method",
                                                           "url.scheme",
                                                           "url.path",
                                                           "url.query",
                                                           "server.address",
                                                           "server.port",
                                                           "user_agent.original",
                                                           "http.request.header.referer",
                                                           "http.request.body.size",
                                                           "http.response.status_code",
                                                           "http.response.body.size",
                                                           "http.server.request.duration",
                                                           "iotax.app.duration",
                                                           "iotax.by",
                                                           "iotax.end",
                                                           "error.type",
                                                           "iotax.cut"};
  const std::string line = line_of(kFormat, request);
  expect(line.size() < 4096, "longer than a pipe takes", line);
  const auto members = JsonReader(line).object();
  std::map<std::string, std::u32string> found;
  const auto* place = kOrder.begin();
  for (const auto& [key, value] : members) {
    place = std::find(place, kOrder.end(), key);
    expect(place != kOrder.end(), "an unknown key, or out of order: " + key, line);
    ++place;
    expect(found.emplace(key, value).second, "a key twice", line);
  }
  const std::u32string cut = U'\0' + found["iotax.cut"] + U'\0';
  const auto check = [&](const std::string& key, const std::string& due) {
    const std::u32string whole = decoded(due);
    const std::u32string& got = found[key];
    const std::u32string name = U'\0' + std::u32string(key.begin(), key.end()) + U'\0';
    const bool is_cut = cut.find(name) != std::u32string::npos;
    expect(is_cut ? whole.starts_with(got) && got.size() < whole.size() : got == whole,
           "reads back differently: " + key, line);
  };
  check("http.request.method", request.method);
  check("url.path", request.path);
  check("url.query", request.query);
  check("user_agent.original", request.field("user-agent").value_or(""));
  check("http.request.header.referer", request.field("referer").value_or(""));
  check("error.type", request.error);
  check("iotax.request_id", request.id);
  const std::string status = request.entry.status > 0 ? std::to_string(request.entry.status) : "-";
  check("message",
        (request.method.empty() ? "-" : request.method + " " + request.target) + " " + status);
  const auto collected = [&](std::size_t n) {
    return request.collected[n].there ? request.collected[n].text : "";
  };
  check("url.scheme", collected(0));
  check("server.address", collected(1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Choices choices(std::string_view(reinterpret_cast<const char*>(data), size));
  const Request request(choices);
  check_default(request, choices.yes());
  check_combined(request);
  check_custom(request);
  check_json(request);
  return 0;
}
