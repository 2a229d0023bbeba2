// A strict reader of HTTP/1.1 responses for tests, written from RFC 9112 and independent of the
// server's own writer.
#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace iotax::test {

struct ReadAnswer {
  int status = 0;
  std::map<std::string, std::string>
      fields;  // names in lower case; a duplicate framing field is an error
  std::string content;
  bool complete = false;     // its framing says that it has ended
  bool until_close = false;  // only the end of the connection ends it
};

/// Remove one response from the front of `stream`. Empty when the text violates the grammar; an
/// incomplete response has `complete` false and empties the stream.
class AnswerReader {
 public:
  explicit AnswerReader(std::string_view stream) : rest_(stream) {}
  [[nodiscard]] std::string_view rest() const { return rest_; }

  std::optional<ReadAnswer> next(bool head_request) {
    ReadAnswer answer;
    const auto status_line = line();
    if (!status_line || status_line->size() < 13 || !status_line->starts_with("HTTP/1.1 ") ||
        (*status_line)[12] != ' ')
      return {};
    if (!number(status_line->substr(9, 3), 10, answer.status)) return {};
    for (;;) {
      const auto field = line();
      if (!field) return {};
      if (field->empty()) break;
      const std::size_t colon = field->find(": ");
      if (colon == std::string_view::npos || colon == 0) return {};
      std::string name(field->substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      const bool single =
          name == "content-length" || name == "transfer-encoding" || name == "connection";
      if (!answer.fields.emplace(name, field->substr(colon + 2)).second && single) return {};
    }
    const auto length = answer.fields.find("content-length");
    const auto coding = answer.fields.find("transfer-encoding");
    if (head_request || answer.status / 100 == 1 || answer.status == 204 || answer.status == 304) {
      answer.complete = true;
    } else if (coding != answer.fields.end()) {
      if (coding->second != "chunked" || length != answer.fields.end() || !chunks(answer))
        return {};
    } else if (length != answer.fields.end()) {
      std::size_t bytes = 0;
      if (!number(length->second, 10, bytes)) return {};
      answer.complete = rest_.size() >= bytes;
      answer.content = take(std::min(bytes, rest_.size()));
    } else {
      answer.until_close = true;
      answer.content = take(rest_.size());
    }
    return answer;
  }

 private:
  template <class Number>
  static bool number(std::string_view text, int base, Number& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return !text.empty() && error == std::errc{} && end == text.data() + text.size();
  }
  std::string_view take(std::size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::optional<std::string_view> line() {
    const std::size_t end = rest_.find("\r\n");
    if (end == std::string_view::npos) return {};
    const std::string_view text = take(end);
    take(2);
    return text;
  }
  /// False when the grammar is violated; an early end does not violate it.
  bool chunks(ReadAnswer& answer) {
    while (!rest_.empty()) {
      const auto size_line = line();
      if (!size_line) break;
      std::size_t bytes = 0;
      if (!number(*size_line, 16, bytes)) return false;
      if (bytes == 0) {
        answer.complete = take(2) == "\r\n";
        return answer.complete || rest_.empty();
      }
      if (rest_.size() < bytes + 2) break;
      answer.content += take(bytes);
      if (take(2) != "\r\n") return false;
    }
    take(rest_.size());
    return true;
  }

  std::string_view rest_;
};

}  // namespace iotax::test
