// Request heads: the checks that llhttp lacks, and the fault of a rejected head.
#include "core/parser.h"

#include <llhttp.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "core/char_class.h"
#include "core/diagnose.h"
#include "core/llhttp_callbacks.h"
#include "core/target.h"
#include "core/text.h"

namespace iotax::core {
namespace {

constexpr std::size_t kShownMax = 80;

/// Rule 5: llhttp's HTTP methods except SOURCE; rule 6: neither CONNECT nor TRACE.
constexpr std::uint64_t methods_passed_on() noexcept {
  std::uint64_t bits = 0;
  for (int number = HTTP_DELETE; number <= HTTP_UNLINK; ++number)
    bits |= std::uint64_t{1} << number;
  bits |= std::uint64_t{1} << HTTP_QUERY;
  bits &= ~(std::uint64_t{1} << HTTP_CONNECT);
  bits &= ~(std::uint64_t{1} << HTTP_TRACE);
  return bits;
}

bool same_host(std::string_view one, std::string_view other) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [lower](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace

Parser::Found Parser::fail(Fault fault, std::string_view offending,
                           std::uint64_t size_bytes) noexcept {
  refusal_ = {fault, offending.substr(0, kShownMax), size_bytes};
  return Found::fault;
}

std::size_t Parser::skip_line_end(std::string_view bytes) noexcept {
  std::size_t taken = 0;
  for (; taken < bytes.size(); ++taken) {
    const char octet = bytes[taken];
    if (leading_ == Leading::nothing && octet != '\r' && octet != '\n') [[likely]]
      break;
    const Fault fault = judge_leading(octet);
    if (fault != Fault::none) static_cast<void>(fail(fault, bytes.substr(taken, 1)));
    if (fault != Fault::none || leading_ == Leading::nothing) break;
  }
  return taken;
}

/// Judge the next byte before a head, and set `leading_`; Leading::nothing: the head begins.
Fault Parser::judge_leading(char octet) noexcept {
  switch (leading_) {
    case Leading::nothing:
      if (octet != '\r') return Fault::line_end;
      leading_ = Leading::carriage_return;
      return Fault::none;
    case Leading::carriage_return:
      if (octet != '\n') return Fault::line_end;
      leading_ = Leading::line_end;
      return Fault::none;
    case Leading::line_end:
      if (octet == '\n') return Fault::leading_line_end;
      leading_ = octet == '\r' ? Leading::second_carriage_return : Leading::nothing;
      return Fault::none;
    case Leading::second_carriage_return:
      if (octet != '\n') return Fault::leading_line_end;
      leading_ = Leading::second_line_end;
      return Fault::none;
    case Leading::second_line_end:
      break;
  }
  return octet == '\0' ? Fault::proxy_header : Fault::leading_line_end;
}

void Parser::start_head() noexcept {
  static_assert(sizeof(llhttp_t) <= sizeof machine_ && alignof(llhttp_t) <= alignof(void*));
  ::new (static_cast<void*>(machine_.data())) llhttp_t;
  llhttp_init(machine_in<llhttp_t>(machine_), HTTP_REQUEST, &head_settings());
  machine_in<llhttp_t>(machine_)->data = this;
  phase_ = Phase::request_line;
  leading_ = Leading::nothing;
  looked_at_ = scanned_ = line_begin_ = head_bytes_ = field_count_ = 0;
  target_ = path_ = query_ = authority_ = host_ = request_id_ = dropped_name_ = {};
  asterisk_ = false;
  in_name_ = false;
  base_ = nullptr;
  fields_.clear();
  rules_ = {};
  refusal_ = {};
}

Parser::Found Parser::parse_head(std::string_view head) noexcept {
  const std::string_view seen = head.substr(0, limits_.head_bytes_max);
  if (phase_ == Phase::diagnosing) return diagnose(seen);
  if (base_ != head.data()) follow(head.data());
  const int error =
      llhttp_execute(machine_in<llhttp_t>(machine_), base_ + looked_at_, seen.size() - looked_at_);
  if (error == HPE_OK) {
    looked_at_ = static_cast<std::uint32_t>(seen.size());
    if (phase_ == Phase::request_line && seen.find('\n') != std::string_view::npos) {
      phase_ = Phase::diagnosing;  // llhttp would continue as HTTP/0.9
      return diagnose(seen);
    }
    if (line_over_limit(seen)) return Found::fault;
    if (seen.size() == limits_.head_bytes_max) return fail(Fault::head_limit, seen, seen.size());
    return Found::nothing_yet;
  }
  const auto at =
      static_cast<std::size_t>(llhttp_get_error_pos(machine_in<llhttp_t>(machine_)) - base_);
  if (error != HPE_PAUSED) return refuse_head(seen, at);
  if (line_over_limit(head.substr(0, at))) return Found::fault;
  head_bytes_ = static_cast<std::uint32_t>(at);
  return Found::head;
}

/// The text of the head has moved: adjust the views of the complete fields.
void Parser::follow(const char* base) noexcept {
  const auto was = reinterpret_cast<std::uintptr_t>(base_);
  const auto moved = [was, base](std::string_view text) {
    return std::string_view(base + (reinterpret_cast<std::uintptr_t>(text.data()) - was),
                            text.size());
  };
  for (Field& field : fields_.all()) field = {moved(field.name), moved(field.value)};
  base_ = base;
}

/// Check for a line over its limit in the bytes not scanned yet. Free for a head that is shorter
/// than both limits.
bool Parser::line_over_limit(std::string_view seen) noexcept {
  if (seen.size() <= std::min(limits_.request_line_bytes_max, limits_.field_line_bytes_max))
      [[likely]]
    return false;
  while (scanned_ < seen.size()) {
    const std::size_t feed = std::min(seen.find('\n', scanned_), seen.size());
    const std::string_view line = seen.substr(line_begin_, feed - line_begin_);
    const bool request_line = line_begin_ == 0;
    const std::size_t most =
        request_line ? limits_.request_line_bytes_max : limits_.field_line_bytes_max;
    if (line.size() > most + 1 || (line.size() == most + 1 && line.back() != '\r')) {
      if (!request_line)
        return fail(Fault::field_line_limit, line.substr(0, most), most + 1) == Found::fault;
      phase_ = Phase::diagnosing;  // a byte within the limit may be one that llhttp rejects later
      return diagnose(seen) == Found::fault;
    }
    scanned_ = static_cast<std::uint32_t>(std::min(feed + 1, seen.size()));
    if (feed < seen.size()) line_begin_ = scanned_;
  }
  return false;
}

/// The request line is rejected; naming the fault may need the rest of the line.
Parser::Found Parser::diagnose(std::string_view seen) noexcept {
  const std::size_t most = limits_.request_line_bytes_max;
  const bool over = seen.size() > most && seen[most] != '\r' && seen[most] != '\n';
  const auto found = diagnose_request_line(seen.substr(0, most + 2));
  if (found && !(over && found->decided > most)) return fail(found->fault, found->shown);
  if (over) return fail(Fault::request_line_limit, seen.substr(0, most), most + 1);
  if (seen.size() == limits_.head_bytes_max) return fail(Fault::head_limit, seen, seen.size());
  return Found::nothing_yet;
}

/// llhttp or a rule has rejected the head at `at` or, in some states of llhttp, one byte before it.
/// The byte at `at` may therefore only confirm a fault in the text before it.
Parser::Found Parser::refuse_head(std::string_view seen, std::size_t at) noexcept {
  constexpr std::size_t kVersionBytes = 9;  // with the space before it
  if (phase_ == Phase::request_line ||
      !seen.substr(target_.end + kVersionBytes).starts_with("\r\n")) {
    phase_ = Phase::diagnosing;
    return diagnose(seen);
  }
  const Refusal by_rule = refusal_;
  if (line_over_limit(seen.substr(0, at))) return Found::fault;
  if (by_rule.fault != Fault::none) {
    refusal_ = by_rule;
    return Found::fault;
  }
  const std::size_t fields_begin = seen.find('\n') + 1;
  if (const auto broken = diagnose_fields(seen.substr(fields_begin, at + 1 - fields_begin)))
    return fail(broken->fault, broken->shown);
  // Nothing else is known that llhttp minds here.
  return fail(Fault::field_value, seen.substr(0, at));
}

/// Check rules 3 to 13 on the complete line. On failure diagnose() finds the fault.
bool Parser::accept_request_line() noexcept {
  constexpr std::uint64_t kPassedOn = methods_passed_on();
  constexpr std::string_view kVersion = " HTTP/1.";
  const std::size_t method_end = target_.begin - std::size_t{1};
  if (target_.begin < 2 || base_[method_end] != ' ' || base_[method_end - 1] == ' ') return false;
  if (((kPassedOn >> machine_in<llhttp_t>(machine_)->method) & 1) == 0) return false;
  const char* behind = base_ + target_.end;
  if (std::memcmp(behind, kVersion.data(), kVersion.size()) != 0) return false;
  const char minor = behind[kVersion.size()];
  if (minor != '1' && minor != '0') return false;
  version_ = minor == '1' ? Version::http_1_1 : Version::http_1_0;
  if (!accept_target({base_, method_end})) return false;
  phase_ = Phase::fields;
  return true;
}

bool Parser::accept_target(std::string_view method) noexcept {
  const std::string_view target = target_.in(base_);
  if (target.starts_with('/') && run_of(target, kPath) == target.size()) [[likely]] {
    path_ = target_;  // no query, nothing encoded
    return true;
  }
  Target parts;
  if (parse_target(target, method, parts) != Fault::none) return false;
  const auto range = [this](std::string_view part) -> Range {
    if (part.empty()) return {};
    const std::uint32_t begin = offset(part.data());
    return {begin, begin + static_cast<std::uint32_t>(part.size())};
  };
  path_ = range(parts.path);
  query_ = range(parts.query);
  authority_ = range(parts.authority);
  asterisk_ = parts.asterisk;
  return true;
}

/// Check a complete field line: rules 14 to 24, 31, 32, 35.
bool Parser::accept_field() noexcept {
  if (phase_ != Phase::fields) return false;  // llhttp parsed the request line as HTTP/0.9
  in_name_ = false;
  while (value_.end > value_.begin &&
         (base_[value_.end - 1] == ' ' || base_[value_.end - 1] == '\t'))
    --value_.end;
  const Field field{name_.in(base_), value_.in(base_)};
  FieldRules::Keep keep{};
  Fault fault = Fault::fields_limit;
  if (field_count_ < limits_.fields_max) [[likely]]
    fault = rules_.add(field.name, field.value, field_count_, keep);
  if (fault != Fault::none) [[unlikely]] {
    const std::size_t end = std::max(value_.end, name_.end);
    static_cast<void>(
        fail(fault, {base_ + name_.begin, end - name_.begin}, field_count_ + std::size_t{1}));
    return false;
  }
  if (rules_.host_index() == field_count_) host_ = value_;
  if (rules_.request_id_index() == field_count_) request_id_ = value_;
  ++field_count_;
  if (keep == FieldRules::Keep::yes) [[likely]] {
    fields_.add(field);
  } else if (keep == FieldRules::Keep::named_not && dropped_name_.end == 0) {
    dropped_name_ = name_;
  }
  return true;
}

/// Check the rules that need the complete head: 12, 20, 24, 35 and the body limits, in this order.
bool Parser::accept_head() noexcept {
  if (phase_ != Phase::fields) return false;
  const std::string_view line{base_, target_.end + std::size_t{9}};
  if (version_ == Version::http_1_1 && !rules_.has_host())
    return refuse_whole(Fault::host_missing, line);
  if (authority_.end != 0 && rules_.has_host() && !same_host(authority_.in(base_), host_.in(base_)))
    return refuse_whole(Fault::target_host_differs, line);
  if (rules_.has_coding() && version_ == Version::http_1_0)
    return refuse_whole(Fault::coding_http_1_0, line);
  if (rules_.unknown_expectation()) return refuse_whole(Fault::expectation, line);
  if (limits_.body_bytes_max != 0 && rules_.length() > limits_.body_bytes_max)
    return refuse_whole(Fault::body_limit, line, rules_.length());
  if (limits_.stored_bytes_max != 0 && rules_.length() > limits_.stored_bytes_max)
    return refuse_whole(Fault::body_storage, line, rules_.length());
  return true;
}

bool Parser::refuse_whole(Fault fault, std::string_view line, std::uint64_t size_bytes) noexcept {
  static_cast<void>(fail(fault, line, size_bytes));
  return false;
}

void Parser::fill(Head& out) const noexcept {
  out.method = {base_, target_.begin - std::size_t{1}};
  out.target = target_.in(base_);
  out.path = path_.end == 0 ? std::string_view("/") : path_.in(base_);
  out.query = query_.in(base_);
  out.authority = authority_.end != 0 ? authority_.in(base_) : host_.in(base_);
  out.request_id = request_id_.in(base_);
  out.fields = fields_.all();
  out.dropped_name = dropped_name_.in(base_);
  out.version = version_;
  out.asterisk = asterisk_;
  out.forwarded = rules_.forwarded();
  out.content = rules_.has_coding()   ? Content::chunked
                : rules_.has_length() ? Content::length
                                      : Content::none;
  out.content_bytes = rules_.length();
  out.expects_continue = rules_.expects_continue() && version_ == Version::http_1_1 &&
                         (out.content == Content::chunked || out.content_bytes != 0);
}

void Parser::release() noexcept { fields_.release(); }

}  // namespace iotax::core
