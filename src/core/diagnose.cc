// Scans from left to right; the first byte that no accepted request line could have there decides.
#include "core/diagnose.h"

#include <algorithm>

#include "core/char_class.h"
#include "core/target.h"

namespace iotax::core {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n";  // RFC 9113 §3.4

/// The beginning of a PROXY header, of which `text` begins with "PROXY ".
std::optional<Diagnosis> diagnose_proxy_header(std::string_view text) noexcept {
  std::size_t decided = 0;
  for (const std::string_view begin : {"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN"}) {
    const auto same = static_cast<std::size_t>(
        std::mismatch(text.begin(), text.end(), begin.begin(), begin.end()).first - text.begin());
    if (same == begin.size())
      return Diagnosis{Fault::proxy_header, text.substr(0, same), begin.size()};
    if (same == text.size()) return std::nullopt;
    decided = std::max(decided, same + 1);
  }
  return Diagnosis{Fault::method_unknown, text.substr(0, text.find(' ')), decided};
}

std::optional<Diagnosis> diagnose_method(std::string_view text, std::size_t& end) noexcept {
  end = 0;
  while (end < text.size() && is(text[end], kToken)) ++end;
  if (end == text.size()) return std::nullopt;
  const std::string_view method = text.substr(0, end);
  if (method.empty() && text[0] == '\x16')
    return Diagnosis{Fault::tls_handshake, text.substr(0, 1), 1};
  if (method.empty() || text[end] != ' ')
    return Diagnosis{Fault::method_form, text.substr(0, end + 1), end + 1};
  if (is_known_method(method)) return Diagnosis{};
  if (method == "PROXY") return diagnose_proxy_header(text);
  if (method != "PRI") return Diagnosis{Fault::method_unknown, method, end + 1};
  const std::size_t same = static_cast<std::size_t>(
      std::mismatch(
          text.begin(),
          text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), kPreface.size())),
          kPreface.begin())
          .first -
      text.begin());
  if (same == kPreface.size())
    return Diagnosis{Fault::http2_preface, text.substr(0, same - 2), same};
  if (same == text.size()) return std::nullopt;
  return Diagnosis{Fault::method_unknown, method, same + 1};
}

/// `from` is the position after the space that ends the target.
std::optional<Diagnosis> diagnose_version(std::string_view text, std::size_t from) noexcept {
  constexpr std::string_view kForm = "HTTP/d.d\r\n";
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (from + i == text.size()) return std::nullopt;
    const char c = text[from + i];
    if (kForm[i] == 'd' ? is(c, kDigit) : c == kForm[i]) continue;
    const std::string_view shown = text.substr(from, i + 1);
    const std::size_t decided = from + i + 1;
    if (i == 0 && c == ' ')
      return Diagnosis{Fault::request_line_form, text.substr(0, decided), decided};
    if (i == 0 && (c == '\r' || c == '\n'))
      return Diagnosis{Fault::version_missing, text.substr(0, decided), decided};
    if (i == 8 && (c == ' ' || c == '\t'))
      return Diagnosis{Fault::request_line_form, text.substr(0, decided), decided};
    if (i == 9 || (i == 8 && c == '\n')) return Diagnosis{Fault::line_end, shown, decided};
    return Diagnosis{Fault::version_form, shown, decided};
  }
  const std::string_view version = text.substr(from, 8);
  const std::size_t decided = from + kForm.size();
  const bool served = version == "HTTP/1.0" || version == "HTTP/1.1";
  return Diagnosis{served ? Fault::none : Fault::version_unsupported, version, decided};
}

}  // namespace

std::optional<Diagnosis> diagnose_request_line(std::string_view text) noexcept {
  std::size_t end = 0;
  const std::optional<Diagnosis> method_fault = diagnose_method(text, end);
  if (!method_fault || method_fault->fault != Fault::none) return method_fault;
  const std::string_view method = text.substr(0, end);

  const std::size_t target_at = end + 1;
  end = target_at;
  while (end < text.size() && text[end] > ' ' && text[end] < '\x7F') ++end;
  if (end == text.size()) return std::nullopt;
  const std::string_view target = text.substr(target_at, end - target_at);
  if (target.empty() && text[end] == ' ')
    return Diagnosis{Fault::request_line_form, text.substr(0, end + 1), end + 1};
  if (text[end] == '\r' || text[end] == '\n')
    return Diagnosis{Fault::version_missing, text.substr(0, end), end + 1};
  if (text[end] != ' ')
    return Diagnosis{Fault::target_octet, text.substr(target_at, end + 1 - target_at), end + 1};

  // Check the method and the version before the target: CONNECT has its own target form.
  const std::optional<Diagnosis> version = diagnose_version(text, end + 1);
  if (!version || version->fault != Fault::none) return version;
  if (method == "CONNECT" || method == "TRACE")
    return Diagnosis{Fault::method_refused, method, version->decided};
  Target parts;
  if (const Fault fault = parse_target(target, method, parts); fault != Fault::none)
    return Diagnosis{fault, target, version->decided};
  return Diagnosis{Fault::request_line_form, text.substr(0, end), version->decided};
}

std::optional<Diagnosis> diagnose_fields(std::string_view text) noexcept {
  enum class At : std::uint8_t { line, name, value, feed };
  At at = At::line;
  std::size_t line_begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    Fault fault = Fault::none;
    switch (at) {
      case At::line:
        line_begin = i;
        if (c == '\r') {
          at = At::feed;
        } else if (is(c, kToken)) {
          at = At::name;
        } else {
          fault = c == ' ' || c == '\t' ? Fault::field_fold
                  : c == '\n'           ? Fault::line_end
                                        : Fault::field_name;
        }
        break;
      case At::name:
        if (c == ':') {
          at = At::value;
        } else if (!is(c, kToken)) {
          fault = Fault::field_name;
        }
        break;
      case At::value:
        if (c == '\r') {
          at = At::feed;
        } else if (!is(c, kValue)) {
          fault = c == '\n' ? Fault::line_end : Fault::field_value;
        }
        break;
      case At::feed:
        if (c != '\n') fault = Fault::line_end;
        at = At::line;
        break;
    }
    if (fault != Fault::none)
      return Diagnosis{fault, text.substr(line_begin, i + 1 - line_begin), i + 1};
  }
  return std::nullopt;
}

std::optional<Diagnosis> diagnose_chunk_line(std::string_view text) noexcept {
  constexpr std::size_t kDigitsMax = 16;
  std::size_t i = 0;
  const auto at = [&](char octet) { return i < text.size() && text[i] == octet; };
  const auto broken = [&](Fault fault) -> std::optional<Diagnosis> {
    if (i >= text.size()) return std::nullopt;
    return Diagnosis{fault, text.substr(0, i + 1), i + 1};
  };
  const auto skip_token = [&] {
    const std::size_t begin = i;
    while (i < text.size() && is(text[i], kToken)) ++i;
    return i != begin;
  };
  const auto skip_quoted = [&] {
    for (++i; i < text.size() && is(text[i], kValue); ++i) {
      if (text[i] == '"') return ++i, true;
      if (text[i] == '\\' && (++i >= text.size() || !is(text[i], kValue))) break;
    }
    return false;
  };

  while (i < std::min(text.size(), kDigitsMax) && is(text[i], kHex)) ++i;
  if (i == 0) return broken(Fault::chunk_size);
  Fault fault = Fault::chunk_size;
  while (at(';')) {
    fault = Fault::chunk_extension;
    ++i;
    if (!skip_token()) return broken(fault);
    if (!at('=')) continue;
    ++i;
    if (!(at('"') ? skip_quoted() : skip_token())) return broken(fault);
  }
  if (at('\n')) return broken(Fault::chunk_line_end);
  if (!at('\r')) return broken(fault);
  ++i;
  return at('\n') ? std::nullopt : broken(Fault::chunk_line_end);
}

}  // namespace iotax::core
