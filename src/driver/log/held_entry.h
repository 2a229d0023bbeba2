// A request whose access line waits, for the end of its call or until the client has taken the
// response: it copies what ends with the response. It must not know what the line waits for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/events.h"
#include "driver/log/access_line.h"

namespace iotax::driver {

class HeldEntry {
 public:
  HeldEntry() = default;
  HeldEntry(const HeldEntry&) = delete;

  /// Copy `of` with the texts of the head; what its other views name has to live on.
  void hold(const AccessEntry& of) {
    entry = of;
    std::size_t bytes = of.method.size() + of.target.size() + of.path.size() + of.query.size();
    for (const core::Field& field : of.fields) bytes += field.name.size() + field.value.size();
    text_.clear();
    text_.reserve(bytes);  // so that the copies stay where they are
    for (std::string_view* const text : {&entry.method, &entry.target, &entry.path, &entry.query})
      *text = copy(*text);
    fields_.clear();
    for (const core::Field& field : of.fields)
      fields_.push_back({copy(field.name), copy(field.value)});
    entry.fields = fields_;
  }
  /// The memory of the copies, which the next request uses again.
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.capacity(); }

  AccessEntry entry;
  bool in_call = false;  // the call has not ended
  bool unsent = false;   // when it was held, a part of the response was not sent

 private:
  std::string_view copy(std::string_view text) {
    const std::size_t at = text_.size();
    text_.append(text);
    return std::string_view(text_).substr(at);
  }

  std::string text_;
  std::vector<core::Field> fields_;
};

}  // namespace iotax::driver
