// Left to right: the first octet that no accepted request-line could have there decides.
#include "core/explain.h"

#include <algorithm>

#include "core/head.h"
#include "core/octets.h"

namespace iotax::core {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n";  // RFC 9113 §3.4

std::optional<Explanation> explain_method(std::string_view text, std::size_t& end) noexcept {
  end = 0;
  while (end < text.size() && is(text[end], kToken)) ++end;
  if (end == text.size()) return std::nullopt;
  const std::string_view method = text.substr(0, end);
  if (method.empty() && text[0] == '\x16') return Explanation{Fault::tls_handshake, text.substr(0, 1), 1};
  if (method.empty() || text[end] != ' ') return Explanation{Fault::method_form, text.substr(0, end + 1), end + 1};
  if (is_known_method(method)) return Explanation{};
  if (method != "PRI") return Explanation{Fault::method_unknown, method, end + 1};
  const std::size_t same = static_cast<std::size_t>(
      std::mismatch(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), kPreface.size())),
                    kPreface.begin()).first - text.begin());
  if (same == kPreface.size()) return Explanation{Fault::http2_preface, text.substr(0, same - 2), same};
  if (same == text.size()) return std::nullopt;
  return Explanation{Fault::method_unknown, method, same + 1};
}

/// `from` is the place right behind the space that ends the target.
std::optional<Explanation> explain_version(std::string_view text, std::size_t from) noexcept {
  constexpr std::string_view kForm = "HTTP/d.d\r\n";
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (from + i == text.size()) return std::nullopt;
    const char c = text[from + i];
    if (kForm[i] == 'd' ? is(c, kDigit) : c == kForm[i]) continue;
    const std::string_view shown = text.substr(from, i + 1);
    const std::size_t decided = from + i + 1;
    if (i == 0 && c == ' ') return Explanation{Fault::request_line_form, text.substr(0, decided), decided};
    if (i == 0 && (c == '\r' || c == '\n')) return Explanation{Fault::version_missing, text.substr(0, decided), decided};
    if (i == 8 && (c == ' ' || c == '\t')) return Explanation{Fault::request_line_form, text.substr(0, decided), decided};
    if (i == 9 || (i == 8 && c == '\n')) return Explanation{Fault::line_end, shown, decided};
    return Explanation{Fault::version_form, shown, decided};
  }
  const std::string_view version = text.substr(from, 8);
  const std::size_t decided = from + kForm.size();
  const bool served = version == "HTTP/1.0" || version == "HTTP/1.1";
  return Explanation{served ? Fault::none : Fault::version_unsupported, version, decided};
}

}  // namespace

std::optional<Explanation> explain_request_line(std::string_view text) noexcept {
  std::size_t end = 0;
  const std::optional<Explanation> method_fault = explain_method(text, end);
  if (!method_fault || method_fault->fault != Fault::none) return method_fault;
  const std::string_view method = text.substr(0, end);

  const std::size_t target_at = end + 1;
  end = target_at;
  while (end < text.size() && text[end] > ' ' && text[end] < '\x7F') ++end;
  if (end == text.size()) return std::nullopt;
  const std::string_view target = text.substr(target_at, end - target_at);
  if (target.empty() && text[end] == ' ')
    return Explanation{Fault::request_line_form, text.substr(0, end + 1), end + 1};
  if (text[end] == '\r' || text[end] == '\n')
    return Explanation{Fault::version_missing, text.substr(0, end), end + 1};
  if (text[end] != ' ') return Explanation{Fault::target_octet, text.substr(target_at, end + 1 - target_at), end + 1};

  // The method and the version are judged before the target: CONNECT has a target form of its own.
  const std::optional<Explanation> version = explain_version(text, end + 1);
  if (!version || version->fault != Fault::none) return version;
  if (method == "CONNECT" || method == "TRACE") return Explanation{Fault::method_refused, method, version->decided};
  Target parts;
  if (const Fault fault = parse_target(target, method, parts); fault != Fault::none)
    return Explanation{fault, target, version->decided};
  return Explanation{Fault::request_line_form, text.substr(0, end), version->decided};
}

Fault explain_field_line(std::string_view line) noexcept {
  const char refused = line.back();
  const std::string_view before = line.substr(0, line.size() - 1);
  if (before.empty() && (refused == ' ' || refused == '\t')) return Fault::field_fold;
  if (!before.empty() && before.back() == '\r') return Fault::line_end;
  const bool in_value = before.find(':') != std::string_view::npos;
  if (refused == '\n' || refused == '\r') return in_value || before.empty() ? Fault::line_end : Fault::field_name;
  return in_value ? Fault::field_value : Fault::field_name;
}

}  // namespace iotax::core
