// Compares and copies short texts in machine words: most texts of a head have a few bytes, for
// which a call costs more than the work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace iotax::core {

template <class Word>
[[nodiscard]] inline Word word_at(const char* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

namespace detail {

/// Whether `count` bytes are equal once `bits` are set in those of `a`. Compares in words, of which
/// the last two may overlap; with a literal on one side it compiles to a few comparisons.
template <std::uint8_t bits>
[[nodiscard]] inline bool same(const char* a, const char* b, std::size_t count) noexcept {
  const auto same_word = [a, b]<class Word>(std::size_t at, Word) {
    constexpr Word kBits = static_cast<Word>(static_cast<Word>(~Word{0}) / 0xFF * bits);
    return static_cast<Word>(word_at<Word>(a + at) | kBits) == word_at<Word>(b + at);
  };
  if (count >= 8) {
    for (std::size_t at = 0; at + 8 < count; at += 8)
      if (!same_word(at, std::uint64_t{})) return false;
    return same_word(count - 8, std::uint64_t{});
  }
  if (count >= 4) return same_word(0, std::uint32_t{}) && same_word(count - 4, std::uint32_t{});
  for (std::size_t at = 0; at < count; ++at)
    if (!same_word(at, std::uint8_t{})) return false;
  return true;
}

template <class Word>
inline void copy_both_ends(char* to, const char* from, std::size_t count) noexcept {
  const Word front = word_at<Word>(from);
  const Word back = word_at<Word>(from + count - sizeof(Word));
  std::memcpy(to, &front, sizeof front);
  std::memcpy(to + count - sizeof back, &back, sizeof back);
}

}  // namespace detail

/// Equality.
[[nodiscard]] inline bool same_text(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && detail::same<0>(a.data(), b.data(), b.size());
}

/// Whether `token` equals `lower`, ignoring case. `lower` contains lowercase letters and "-" only;
/// `token` is a token (RFC 9110 §5.6.2), so setting bit 5 turns only uppercase letters into
/// letters.
[[nodiscard]] inline bool same_token(std::string_view token, std::string_view lower) noexcept {
  return token.size() == lower.size() &&
         detail::same<0x20>(token.data(), lower.data(), lower.size());
}

/// Equality of ASCII texts, ignoring case.
[[nodiscard]] inline bool same_ignoring_case(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  if (a.size() != b.size()) return false;
  for (std::size_t at = 0; at < a.size(); ++at)
    if (lower(a[at]) != lower(b[at])) return false;
  return true;
}

/// Copy the text to `to` and return the position after it. Always inlined: a call costs more.
[[gnu::always_inline]] inline char* copy_text(char* to, std::string_view text) noexcept {
  const std::size_t count = text.size();
  const char* const from = text.data();
  if (count > 16) {
    std::memcpy(to, from, count);
  } else if (count >= 8) {
    detail::copy_both_ends<std::uint64_t>(to, from, count);
  } else if (count >= 4) {
    detail::copy_both_ends<std::uint32_t>(to, from, count);
  } else {
    for (std::size_t at = 0; at < count; ++at) to[at] = from[at];
  }
  return to + count;
}

}  // namespace iotax::core
