// RFC 9112 §4 to §7 from the client's side, without any leniency.
#include "runner/answers.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace iotax::conformance {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_token(std::string_view text) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  const auto allowed = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

bool is_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return c == '\t' || (octet >= 0x20 && octet != 0x7F);
  });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Takes lines and counted bytes off the front. A line that has not ended yet is `nullopt`.
class Input {
 public:
  explicit Input(std::string_view octets) : rest_(octets) {}
  [[nodiscard]] std::string_view rest() const { return rest_; }
  std::optional<std::string_view> line() {
    const auto end = rest_.find(kLineEnd);
    if (end == std::string_view::npos) return std::nullopt;
    const auto line = rest_.substr(0, end);
    rest_.remove_prefix(end + kLineEnd.size());
    return line;
  }
  std::string_view take(std::uint64_t bytes) {
    const auto taken =
        rest_.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes, rest_.size())));
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

/// Reads one response. error() is empty when the bytes are well-formed as far as they go.
class Reader {
 public:
  explicit Reader(std::string_view octets) : in_(octets) {}

  Answer read(bool to_head, bool closed) {
    Answer answer;
    if (!head(answer)) return answer;
    const bool bodyless =
        to_head || answer.interim() || answer.status == 204 || answer.status == 304;
    content(answer, bodyless, closed);
    return answer;
  }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] std::string_view rest() const { return in_.rest(); }

 private:
  /// True when the head is complete.
  bool head(Answer& answer) {
    const auto first = in_.line();
    if (!first) return false;
    constexpr std::string_view kVersion = "HTTP/1.1 ";
    const auto code = first->substr(std::min(first->size(), kVersion.size()), 3);
    const auto status = number(code, 10);
    if (first->substr(0, kVersion.size()) != kVersion || code.size() != 3 || !status ||
        *status < 100 || first->size() < kVersion.size() + 4 ||
        (*first)[kVersion.size() + 3] != ' ' || !is_text(*first)) {
      return fail("a malformed status line");
    }
    answer.status = static_cast<int>(*status);
    answer.reason = first->substr(kVersion.size() + 4);
    for (;;) {
      const auto line = in_.line();
      if (!line) return false;
      if (line->empty()) return true;
      const auto colon = line->find(':');
      if (colon == std::string_view::npos || !is_token(line->substr(0, colon)) || !is_text(*line)) {
        return fail("a malformed field line");
      }
      auto value = line->substr(colon + 1);
      while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
        value.remove_prefix(1);
      while (!value.empty() && (value.back() == ' ' || value.back() == '\t'))
        value.remove_suffix(1);
      answer.fields.emplace_back(lower(line->substr(0, colon)), value);
    }
  }

  void content(Answer& answer, bool bodyless, bool closed) {
    std::vector<const std::string*> lengths;
    std::vector<const std::string*> codings;
    for (const auto& [name, value] : answer.fields) {
      if (name == "content-length") lengths.push_back(&value);
      if (name == "transfer-encoding") codings.push_back(&value);
    }
    if (lengths.size() + codings.size() > 1) {
      fail("a body that is delimited in two ways");
    } else if ((answer.interim() || answer.status == 204) && lengths.size() + codings.size() > 0) {
      fail(
          "a 1xx or 204 with Content-Length or Transfer-Encoding");  // RFC 9110 §8.6, RFC 9112 §6.1
    } else if (bodyless) {
      answer.complete = true;
    } else if (!codings.empty()) {
      if (*codings.front() != "chunked") {
        fail("an unknown transfer coding");
      } else {
        chunks(answer);
      }
    } else if (!lengths.empty()) {
      const auto length = number(*lengths.front(), 10);
      if (!length) {
        fail("a malformed Content-Length");
        return;
      }
      answer.content = in_.take(*length);
      answer.complete = answer.content.size() == *length;
    } else {
      answer.content = in_.take(in_.rest().size());
      answer.complete = closed;
    }
  }

  void chunks(Answer& answer) {
    for (;;) {
      const auto line = in_.line();
      if (!line) return;
      const auto size = number(*line, 16);
      if (!size) {
        fail("a malformed chunk size");
        return;
      }
      if (*size == 0) break;
      const auto data = in_.take(*size);
      answer.content += data;
      if (data.size() < *size) return;
      const auto end = in_.take(kLineEnd.size());
      if (end.size() == kLineEnd.size() && end != kLineEnd) fail("a chunk longer than its size");
      if (end != kLineEnd) return;
    }
    const auto end = in_.take(kLineEnd.size());
    if (end == kLineEnd) {
      answer.complete = true;
    } else if (end.size() == kLineEnd.size()) {
      fail("a trailer nobody asked for");
    }
  }

  bool fail(std::string_view what) {
    error_ = what;
    return false;
  }

  Input in_;
  std::string error_;
};

}  // namespace

const std::string* Answer::field(std::string_view name) const noexcept {
  for (const auto& [key, value] : fields) {
    if (key == name) return &value;
  }
  return nullptr;
}

Answers read_answers(std::string_view octets, const std::vector<std::string>& methods,
                     bool closed) {
  Answers result;
  std::string_view rest = octets;
  while (!rest.empty() && result.error.empty()) {
    const std::size_t index = result.finals.size();
    Reader reader(rest);
    Answer answer = reader.read(index < methods.size() && methods[index] == "HEAD", closed);
    result.error = reader.error();
    const auto used = rest.substr(0, rest.size() - reader.rest().size());
    rest = reader.rest();
    if (answer.complete && answer.interim()) {
      result.interims.push_back(answer.status);
    } else {
      result.final_octets += used;
      if (answer.status != 0 || !used.empty()) result.finals.push_back(std::move(answer));
    }
    if (used.empty()) {
      if (result.error.empty()) result.error = "a status line without an end";
      break;
    }
  }
  return result;
}

}  // namespace iotax::conformance
