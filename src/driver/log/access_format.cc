#include "driver/log/access_format.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/char_class.h"

namespace iotax::driver {
namespace {

struct Atom {
  std::string_view name;
  Shown shown;
  bool is_integer = false;  // also accepted as %(name)d
};

constexpr std::array kAtoms{
    // gunicorn's
    Atom{"h", Shown::client},
    Atom{"l", Shown::literal},
    Atom{"u", Shown::collected},
    Atom{"t", Shown::clf_time},
    Atom{"r", Shown::request_line},
    Atom{"m", Shown::method},
    Atom{"U", Shown::path},
    Atom{"q", Shown::query},
    Atom{"H", Shown::protocol},
    Atom{"s", Shown::status, true},
    Atom{"B", Shown::sent_bytes, true},
    Atom{"b", Shown::sent_bytes_or_dash},
    Atom{"f", Shown::request_field},
    Atom{"a", Shown::request_field},
    Atom{"T", Shown::seconds, true},
    Atom{"M", Shown::milliseconds, true},
    Atom{"D", Shown::microseconds, true},
    Atom{"L", Shown::exact_seconds},
    Atom{"p", Shown::process_id},
    // iotax's own
    Atom{"id", Shown::request_id},
    Atom{"trace_id", Shown::trace_id},
    Atom{"span_id", Shown::span_id},
    Atom{"peer", Shown::peer},
    Atom{"queue", Shown::queue_seconds},
    Atom{"app", Shown::app_seconds},
    Atom{"in", Shown::received_bytes, true},
    Atom{"end", Shown::end},
    Atom{"worker", Shown::worker, true},
};

constexpr std::string_view kCombined =
    R"(%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s")";

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool is_control(char c) noexcept {
  return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f';
}

}  // namespace

/// Reads a text with atoms.
class AccessFormat::Compiler {
 public:
  explicit Compiler(std::string_view text) noexcept : text_(text) {}

  [[nodiscard]] std::variant<AccessFormat, FormatFault> compile() {
    while (at_ < text_.size() && !fault_) {
      const std::size_t end = std::min(text_.find('%', at_), text_.size());
      literal(text_.substr(at_, end - at_));
      at_ = end;
      if (at_ < text_.size() && !fault_) conversion();
    }
    if (fault_) return *std::move(fault_);
    return std::move(format_);
  }

 private:
  void refuse(std::size_t at, std::string text) { fault_ = FormatFault{at, std::move(text)}; }

  void literal(std::string_view text) {
    const auto* const bad = std::find_if(text.begin(), text.end(), is_control);
    if (bad != text.end()) {
      return refuse(at_ + static_cast<std::size_t>(bad - text.begin()), "a control character");
    }
    format_.add_literal(text);
  }

  /// `%%` or `%(NAME)s`, which starts here.
  void conversion() {
    const std::string_view rest = text_.substr(at_ + 1);
    if (rest.starts_with('%')) {
      format_.add_literal("%");
      at_ += 2;
      return;
    }
    if (!rest.starts_with('(')) return refuse(at_, "a lone %; a percent sign is %%");
    const std::size_t close = rest.find(')');
    if (close == std::string_view::npos) return refuse(at_, "%( without )");
    const std::string_view name = rest.substr(1, close - 1);
    const std::string_view type = rest.substr(close + 1, 1);
    if (type != "s" && type != "d") {
      return refuse(
          at_, "%(" + std::string(name) + ") without s after it; there are no widths and flags");
    }
    if (!name.empty() && name.front() == '{') {
      field(name, type);
    } else {
      atom(name, type);
    }
    at_ += 1 + close + 2;
  }

  void atom(std::string_view name, std::string_view type) {
    const auto* const found = std::find_if(kAtoms.begin(), kAtoms.end(),
                                           [&](const Atom& one) { return one.name == name; });
    if (found == kAtoms.end()) return unknown(name);
    if (type == "d" && !found->is_integer)
      return refuse(at_, "%(" + std::string(name) +
                             ")d, but the value is not an integer; write %(" + std::string(name) +
                             ")s");
    if (name == "l") {
      format_.add_literal("-");
    } else if (name == "u") {
      format_.add_collected(Collected::From::environ, "REMOTE_USER");
    } else if (found->shown == Shown::request_field) {
      format_.add(Shown::request_field, name == "f" ? "referer" : "user-agent");
    } else {
      format_.add(found->shown);
    }
  }

  /// {NAME}i, {NAME}o, {KEY}e.
  void field(std::string_view name, std::string_view type) {
    const std::size_t close = name.rfind('}');
    const std::string_view kind = name.substr(std::min(close + 1, name.size()));
    if (close == std::string_view::npos || (kind != "i" && kind != "o" && kind != "e"))
      return unknown(name);
    const std::string_view inner = name.substr(1, close - 1);
    const bool is_field = kind != "e";
    if (inner.empty()) return refuse(at_, "%(" + std::string(name) + ")s, which names nothing");
    if (is_field && !core::all(inner, core::kToken)) {
      return refuse(at_, "%(" + std::string(name) + ")s, which is not the name of a field");
    }
    if (type == "d")
      return refuse(at_, "%(" + std::string(name) + ")d, but the value is not an integer");
    if (kind == "i") {
      format_.add(Shown::request_field, in_lower_case(inner));
    } else if (kind == "o") {
      format_.add_collected(Collected::From::response, in_lower_case(inner));
    } else {
      format_.add_collected(Collected::From::environ, std::string(inner));
    }
  }

  void unknown(std::string_view name) {
    refuse(at_, "the unknown atom %(" + std::string(name) + ")s");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  AccessFormat format_{Empty{}};
  std::optional<FormatFault> fault_;
};

AccessFormat::AccessFormat(bool timestamp) {
  if (timestamp) {
    add(Shown::timestamp);
    add_literal(" ");
  }
  add(Shown::client_and_port);
  add_literal(" - \"");
  add(Shown::request_line);
  add_literal("\" ");
  add(Shown::status_and_phrase);
  add_literal(" ");
  add(Shown::sent_bytes);
  add_literal("B ");
  add(Shown::tenths_of_ms);
  add_literal("ms ");
  add(Shown::request_id);
}

AccessFormat AccessFormat::json() {
  AccessFormat made{Empty{}};
  made.json_ = made.needs_time_ = made.needs_trace_ = made.needs_app_ = true;
  for (const char* key : {"wsgi.url_scheme", "SERVER_NAME", "SERVER_PORT"}) {
    made.collected_.push_back({Collected::From::environ, key});
  }
  return made;
}

std::variant<AccessFormat, FormatFault> AccessFormat::compile(std::string_view text,
                                                              bool timestamp) {
  if (text == "default") return AccessFormat(timestamp);
  if (text == "json") return json();
  if (text == "combined") return Compiler(kCombined).compile();
  if (text.find("%(") == std::string_view::npos) {
    return FormatFault{0, "neither default, combined or json nor an atom such as %(h)s"};
  }
  return Compiler(text).compile();
}

std::vector<std::string_view> AccessFormat::atoms() {
  std::vector<std::string_view> names;
  names.reserve(kAtoms.size());
  for (const Atom& one : kAtoms) names.push_back(one.name);
  return names;
}

bool AccessFormat::collects(Collected::From from) const noexcept {
  return std::any_of(collected_.begin(), collected_.end(),
                     [from](const Collected& one) { return one.from == from; });
}

Part& AccessFormat::add(Shown shown, std::string text) {
  needs_time_ |= shown == Shown::timestamp || shown == Shown::clf_time;
  needs_trace_ |= shown == Shown::trace_id || shown == Shown::span_id;
  needs_app_ |= shown == Shown::app_seconds;
  return parts_.emplace_back(Part{shown, std::move(text), 0, in_quotes_});
}

void AccessFormat::add_literal(std::string_view text) {
  if (text.empty()) return;
  if (parts_.empty() || parts_.back().shown != Shown::literal) add(Shown::literal);
  parts_.back().text += text;
  if (std::count(text.begin(), text.end(), '"') % 2 != 0) in_quotes_ = !in_quotes_;
}

void AccessFormat::add_collected(Collected::From from, std::string name) {
  add(Shown::collected).index = collected_.size();
  collected_.push_back({from, std::move(name)});
}

}  // namespace iotax::driver
