// JSON text of /status. It must not know what it says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/instant.h"

namespace iotax::admin {

/// Writes one value; the caller opens and closes objects and arrays in pairs.
class Json {
 public:
  void open(char bracket, std::string_view key = {}) {
    begin(key);
    out_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    first_ = false;
  }
  void text(std::string_view key, std::string_view value);
  void number(std::string_view key, std::uint64_t value) {
    begin(key);
    out_ += std::to_string(value);
  }
  /// In seconds with milliseconds.
  void seconds(std::string_view key, core::Duration value);
  void boolean(std::string_view key, bool value) {
    begin(key);
    out_ += value ? "true" : "false";
  }
  [[nodiscard]] std::string take() && { return std::move(out_); }

 private:
  void begin(std::string_view key);

  std::string out_;
  bool first_ = true;
};

/// "1.234"; what is negative counts as zero.
[[nodiscard]] std::string seconds_text(core::Duration value);

}  // namespace iotax::admin
