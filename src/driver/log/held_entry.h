// A request whose access line waits, for the end of its call or until the client has taken the
// response: it copies what ends with the response. It must not know what the line waits for.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/events.h"
#include "core/text.h"
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
    char* to = text_.open(bytes);
    const auto keep = [&to](std::string_view& text) {
      const char* const at = to;
      to = core::copy_text(to, text);
      text = {at, text.size()};
    };
    for (std::string_view* const text : {&entry.method, &entry.target, &entry.path, &entry.query})
      keep(*text);
    fields_.assign(of.fields.begin(), of.fields.end());
    for (core::Field& field : fields_) {
      keep(field.name);
      keep(field.value);
    }
    entry.fields = fields_;
  }
  /// The memory of the copies, which the next request uses again.
  [[nodiscard]] std::size_t bytes() const noexcept { return text_.own_bytes(); }

  AccessEntry entry;
  bool in_call = false;  // the call has not ended
  bool unsent = false;   // when it was held, a part of the response was not sent

 private:
  core::Bytes text_;
  std::vector<core::Field> fields_;
};

}  // namespace iotax::driver
