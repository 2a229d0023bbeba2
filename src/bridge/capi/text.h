// Conversions between bytes and Python strings: Latin-1 to str and back, percent-decoding, and
// tables of recent strings. It must not know what a text means.
#pragma once

#include <Python.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "bridge/capi/ref.h"
#include "core/text.h"

namespace iotax::bridge {

/// A new str from Latin-1 bytes (PEP 3333, native strings). Null with an exception if memory runs
/// out.
[[nodiscard]] inline PyObject* latin1(std::string_view text) noexcept {
  return PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
}

/// The same for text that is known to be ASCII.
[[nodiscard]] inline PyObject* ascii(std::string_view text) noexcept {
  if (text.size() < 2) return latin1(text);  // CPython caches the empty and the one-character strs
  PyObject* const made = PyUnicode_New(static_cast<Py_ssize_t>(text.size()), 127);
  if (made != nullptr) std::memcpy(PyUnicode_1BYTE_DATA(made), text.data(), text.size());
  return made;
}

/// The bytes of a str whose code points are all below 256; valid as long as the str. false: a code
/// point is 256 or above. Always inlined: a call costs more.
[[nodiscard, gnu::always_inline]] inline bool latin1_view(PyObject* text,
                                                          std::string_view& view) noexcept {
#if PY_VERSION_HEX < 0x030C0000
  if (PyUnicode_READY(text) != 0) {
    PyErr_Clear();
    return false;
  }
#endif
  if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) return false;
  view = {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text)),
          static_cast<std::size_t>(PyUnicode_GET_LENGTH(text))};
  return true;
}

/// UTF-8 for logs; lone surrogates are written as \udc80. Never fails: if memory runs out the
/// result is empty.
[[nodiscard]] std::string utf8(PyObject* text);

/// "%41" becomes "A". A '%' without two hex digits stays. RFC 3986 §2.1.
[[nodiscard]] std::string percent_decoded(std::string_view text);

/// Fast hash of a short text: its ends and its length. Not for tables that grow.
[[nodiscard]] inline std::uint64_t short_hash(std::string_view text) noexcept {
  std::uint64_t head = 0;
  std::uint64_t tail = 0;
  if (text.size() >= 8) {
    std::memcpy(&head, text.data(), 8);
    std::memcpy(&tail, text.data() + text.size() - 8, 8);
  } else if (text.size() >= 4) {
    std::memcpy(&head, text.data(), 4);
    std::memcpy(&tail, text.data() + text.size() - 4, 4);
  } else {
    for (const char c : text) head = head << 8 | static_cast<unsigned char>(c);
  }
  return (head * 0x9E3779B97F4A7C15U + tail * 0xC2B2AE3D27D4EB4FU + text.size()) >> 32;
}

/// The last strs made from some ASCII texts: direct-mapped, so limited to `kEntries` strs of at
/// most kTextBytesMax.
template <std::size_t kEntries>
class Memo {
 public:
  static constexpr std::size_t kTextBytesMax = 64;

  /// A str of `text`, from the table if possible. Empty with an exception if memory runs out.
  [[nodiscard]] Ref get(std::string_view text) noexcept {
    Ref& entry = entries_[short_hash(text) % kEntries];
    if (entry) {
      std::string_view known;
      if (latin1_view(entry.get(), known) && core::same_text(known, text))
        return Ref::borrow(entry.get());
    }
    Ref made = Ref::steal(ascii(text));
    if (made && text.size() <= kTextBytesMax) entry = Ref::borrow(made.get());
    return made;
  }

 private:
  std::array<Ref, kEntries> entries_;
};

}  // namespace iotax::bridge
