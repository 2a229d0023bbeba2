// Parses request heads (parser.cc) and chunked bodies (body_parser.cc). The only user of llhttp
// (9.2 or later, all lenient flags off); it adds the checks that llhttp lacks (http1-policy, the 13
// gaps). It does not know responses, time or the order of messages.
// Invariant: results depend on the bytes, never on how they were split. The fault whose byte comes
// first wins.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/chunk_limits.h"
#include "core/events.h"
#include "core/field_list.h"
#include "core/field_rules.h"
#include "core/limits.h"

namespace iotax::core {

/// A fault and the text to show for it. The view points into the parsed text or into the parser.
struct Refusal {
  Fault fault = Fault::none;
  std::string_view offending;
  std::uint64_t size_bytes = 0;
};

class Parser {
 public:
  enum class Found : std::uint8_t { nothing_yet, head, data, end, fault };

  explicit Parser(const Limits& limits) noexcept : limits_(limits), chunks_(limits) {}
  Parser(Limits&&) = delete;
  Parser(Parser&&) = delete;

  // ---- before a head
  /// Skip the one CRLF that is allowed before a request line (rule 2). Returns the number of bytes
  /// consumed. If that is less than all, a head starts there or, with refusal() set, the fault: a
  /// CR or LF alone, or a second line end, after which a NUL is a PROXY header of version 2.
  [[nodiscard]] std::size_t skip_line_end(std::string_view bytes) noexcept;

  /// Whether a second line end has begun that may still be that of a PROXY header.
  [[nodiscard]] bool in_second_line_end() const noexcept {
    return leading_ >= Leading::second_carriage_return;
  }

  // ---- a head
  /// Borrow storage for the fields of a typical head, until release().
  void lend(std::span<char> fields) noexcept { fields_.lend(fields); }
  void start_head() noexcept;
  /// `head` is the complete head received so far, in one piece, possibly followed by other bytes.
  /// It may move between calls but only grows. Parses only the new part. Found::head: the head ends
  /// at head_bytes().
  [[nodiscard]] Found parse_head(std::string_view head) noexcept;
  [[nodiscard]] std::size_t head_bytes() const noexcept { return head_bytes_; }
  /// Fill in the accepted head as views into the parsed text; does not change `id`.
  void fill(Head& out) const noexcept;
  [[nodiscard]] bool persists() const noexcept { return rules_.persists(version_); }

  // ---- chunked body, after a head that announced it
  void start_content() noexcept;
  /// Parse `bytes` and set `used` to the number consumed. Found::data: `data` is the piece of the
  /// body within them.
  [[nodiscard]] Found parse_content(std::string_view bytes, std::size_t& used,
                                    std::string_view& data) noexcept;

  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }
  /// Release the memory of the last head.
  void release() noexcept;

 private:
  friend struct Callbacks;

  struct Range {
    std::uint32_t begin = 0, end = 0;
    [[nodiscard]] std::string_view in(const char* base) const noexcept {
      return {base + begin, end - begin};
    }
  };
  enum class Phase : std::uint8_t { request_line, diagnosing, fields };
  enum class Leading : std::uint8_t {
    nothing,
    carriage_return,
    line_end,
    second_carriage_return,
    second_line_end,
  };
  enum class Stop : std::uint8_t { no, chunk_line, chunk_data, end };

  [[nodiscard]] Fault judge_leading(char octet) noexcept;
  [[nodiscard]] Found fail(Fault fault, std::string_view offending,
                           std::uint64_t size_bytes = 0) noexcept;
  /// Offset of `at` in the text of the head.
  [[nodiscard]] std::uint32_t offset(const char* at) const noexcept {
    return static_cast<std::uint32_t>(at - base_);
  }
  void follow(const char* base) noexcept;
  [[nodiscard]] bool line_over_limit(std::string_view seen) noexcept;
  [[nodiscard]] Found diagnose(std::string_view seen) noexcept;
  [[nodiscard]] Found refuse_head(std::string_view seen, std::size_t at) noexcept;
  [[nodiscard]] bool refuse_whole(Fault fault, std::string_view line,
                                  std::uint64_t size_bytes = 0) noexcept;
  [[nodiscard]] bool accept_request_line() noexcept;
  [[nodiscard]] bool accept_target(std::string_view method) noexcept;
  [[nodiscard]] bool accept_field() noexcept;
  [[nodiscard]] bool accept_head() noexcept;
  [[nodiscard]] Fault judge_stop() noexcept;
  [[nodiscard]] Found refuse_content(std::string_view rest) noexcept;

  const Limits& limits_;
  alignas(8) std::array<std::byte, 104> machine_{};  // llhttp_t, which only the .cc files know

  // the head
  const char* base_ = nullptr;  // of the text of the head
  Phase phase_ = Phase::request_line;
  Leading leading_ = Leading::nothing;
  Version version_ = Version::http_1_1;
  bool asterisk_ = false;
  bool in_name_ = false;
  std::uint32_t looked_at_ = 0;                 // bytes parsed by llhttp
  std::uint32_t scanned_ = 0, line_begin_ = 0;  // by line_over_limit()
  std::uint32_t head_bytes_ = 0;
  std::uint32_t field_count_ = 0;  // including dropped fields
  // Offsets, because the text may move while the head arrives. Complete fields are views, which
  // follow() adjusts.
  Range target_, path_, query_, authority_, host_, request_id_, dropped_name_;
  Range name_, value_;  // of the field line being received
  FieldList fields_;
  FieldRules rules_;

  // body
  std::string_view data_;  // only during a call
  std::uint64_t chunk_bytes_ = 0;
  Stop stop_ = Stop::no;
  ChunkLimits chunks_;

  Refusal refusal_;
};

}  // namespace iotax::core
