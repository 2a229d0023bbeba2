#include "core/forwarded_field.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "core/char_class.h"
#include "core/text.h"

namespace iotax::core {
namespace {

/// Takes parts from the front of one line.
class Scanner {
 public:
  explicit Scanner(std::string_view line) noexcept : rest_(line) {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  bool accept(char c) noexcept {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_blanks() noexcept {
    while (accept(' ') || accept('\t')) {
    }
  }
  /// Empty: there is none.
  std::string_view take_token() noexcept {
    const std::string_view token = rest_.substr(0, run_of(rest_, kToken));
    rest_.remove_prefix(token.size());
    return token;
  }
  /// Without its quotes (RFC 9110 §5.6.4). Nothing: it does not end.
  std::optional<std::string_view> take_quoted() noexcept {
    const std::string_view begin = rest_.substr(1);
    for (std::size_t at = 0; at < begin.size(); ++at) {
      if (begin[at] == '"') {
        rest_ = begin.substr(at + 1);
        return begin.substr(0, at);
      }
      if (begin[at] == '\\') ++at;
    }
    return std::nullopt;
  }
  std::optional<std::string_view> take_value() noexcept {
    if (rest_.starts_with('"')) return take_quoted();
    const std::string_view token = take_token();
    return token.empty() ? std::nullopt : std::optional(token);
  }

 private:
  std::string_view rest_;
};

/// A parameter may have any name, but none twice.
class Names {
 public:
  [[nodiscard]] bool add(std::string_view name) noexcept {
    const std::span known(names_.data(), count_);
    const auto same = [name](std::string_view other) { return same_ignoring_case(name, other); };
    if (count_ == names_.size() || std::any_of(known.begin(), known.end(), same)) return false;
    names_[count_++] = name;
    return true;
  }

 private:
  std::array<std::string_view, 16> names_;  // RFC 7239 defines four
  std::size_t count_ = 0;
};

bool parse_element(Scanner& scanner, ForwardedElement& element) noexcept {
  Names names;
  do {
    const std::string_view name = scanner.take_token();
    if (name.empty()) continue;  // [ forwarded-pair ]
    if (!scanner.accept('=') || !names.add(name)) return false;
    const auto value = scanner.take_value();
    if (!value) return false;
    if (same_token(name, "for")) element.for_ = *value;
    if (same_token(name, "proto")) element.proto = *value;
    if (same_token(name, "host")) element.host = *value;
  } while (scanner.accept(';'));
  return true;
}

}  // namespace

bool parse_forwarded(std::string_view line, std::vector<ForwardedElement>& elements) {
  Scanner scanner{line};
  while (true) {
    scanner.skip_blanks();
    const bool is_empty = scanner.at_end() || scanner.accept(',');
    if (is_empty && scanner.at_end()) return true;
    if (is_empty) continue;
    if (!parse_element(scanner, elements.emplace_back())) return false;
    scanner.skip_blanks();
    if (scanner.at_end()) return true;
    if (!scanner.accept(',')) return false;
  }
}

bool is_forwarded(std::string_view name) noexcept { return same_token(name, "forwarded"); }

}  // namespace iotax::core
