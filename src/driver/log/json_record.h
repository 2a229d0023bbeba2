// Writes one flat JSON object as a line of ASCII: the records of both logs. It must not know which
// keys a log has.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "core/bytes.h"
#include "core/instant.h"
#include "core/text.h"
#include "driver/log/escape.h"
#include "driver/log/write_value.h"

namespace iotax::driver {

/// Keys are literals and written as they are: their copies are inlined, which halves the cost of a
/// record. A text that is empty is left out with its key.
class JsonRecord {
 public:
  /// Texts are cut to `text_bytes_max` bytes, escapes included.
  JsonRecord(core::Bytes& out, std::size_t text_bytes_max) noexcept
      : out_(out), begin_(out.size()), text_bytes_max_(text_bytes_max) {}
  JsonRecord(const JsonRecord&) = delete;

  template <std::size_t N>
  void text(const char (&key)[N], std::string_view value) {
    text(key, std::span(&value, 1));
  }
  /// The text of several pieces together; `before` and `after` are written around it as they are.
  template <std::size_t N>
  void text(const char (&key)[N], std::span<const std::string_view> pieces,
            std::string_view before = "\"", std::string_view after = "\"") {
    const std::size_t most = std::min(bytes_of(pieces) * kEscapedBytesMax, text_bytes_max_);
    if (most == 0) return;
    char* const to = core::copy_text(open(key, before.size() + most + after.size()), before);
    close(core::copy_text(write_pieces(to, pieces, most, {key, N - 1}), after));
  }
  /// A text that needs no escapes and is not cut.
  template <std::size_t N>
  void plain(const char (&key)[N], std::string_view value) {
    if (value.empty()) return;
    char* to = open(key, value.size() + 2);
    *to = '"';
    to = core::copy_text(to + 1, value);
    *to = '"';
    close(to + 1);
  }
  template <std::size_t N>
  void number(const char (&key)[N], std::uint64_t value) {
    close(write_number(open(key, kValueBytesMax), value));
  }
  /// Seconds with six decimals.
  template <std::size_t N>
  void seconds(const char (&key)[N], core::Duration value) {
    close(write_seconds(open(key, kValueBytesMax), value));
  }
  /// A value that is written as it is.
  template <std::size_t N>
  void raw(const char (&key)[N], std::string_view value) {
    close(core::copy_text(open(key, value.size()), value));
  }
  /// 2026-11-29T10:02:20.123456Z
  void timestamp(core::Duration unix_time);
  /// Close the object, after a list of the cut texts under `cut_key` if there are any.
  template <std::size_t N>
  void end(const char (&cut_key)[N]) {
    if (cut_count_ != 0) {
      close(open(cut_key, 0));
      append_cut();
    }
    out_.append("}");
    out_.data()[begin_] = '{';
  }

 private:
  static constexpr std::size_t kCutMax = 16;

  /// Write `,"KEY":`. The caller may write `value_bytes_max` bytes after it, then calls close().
  template <std::size_t N>
  char* open(const char (&key)[N], std::size_t value_bytes_max) {
    char* const to = out_.open(N + 3 + value_bytes_max);
    to[0] = ',';
    to[1] = '"';
    std::memcpy(to + 2, key, N - 1);
    to[N + 1] = '"';
    to[N + 2] = ':';
    return to + N + 3;
  }
  void close(const char* end) noexcept { out_.close(end); }

  static std::size_t bytes_of(std::span<const std::string_view> pieces) noexcept {
    std::size_t bytes = 0;
    for (const std::string_view piece : pieces) bytes += piece.size();
    return bytes;
  }
  char* write_pieces(char* to, std::span<const std::string_view> pieces, std::size_t most,
                     std::string_view key) noexcept;
  void append_cut();

  core::Bytes& out_;
  const std::size_t begin_;
  const std::size_t text_bytes_max_;
  std::array<std::string_view, kCutMax> cut_;
  std::size_t cut_count_ = 0;
};

}  // namespace iotax::driver
