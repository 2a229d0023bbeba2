#include "driver/log/json_record.h"

namespace iotax::driver {

void JsonRecord::timestamp(core::Duration unix_time) {
  char* to = open("timestamp", kValueBytesMax);
  *to++ = '"';
  to = write_time(to, unix_time, 6);
  *to++ = 'Z';
  *to++ = '"';
  close(to);
}

char* JsonRecord::write_pieces(char* to, std::span<const std::string_view> pieces, std::size_t most,
                               std::string_view key) noexcept {
  const char* const end = to + most;
  for (std::string_view piece : pieces) {
    if (piece.size() <= static_cast<std::size_t>(end - to) && is_plain(piece)) [[likely]] {
      to = core::copy_text(to, piece);
      continue;
    }
    to = write_json_escaped(to, piece, static_cast<std::size_t>(end - to));
    if (piece.empty()) continue;
    if (cut_count_ < kCutMax) cut_[cut_count_++] = key;
    break;
  }
  return to;
}

void JsonRecord::append_cut() {
  char separator = '[';
  for (const std::string_view key : std::span(cut_).first(cut_count_)) {
    char* to = out_.open(key.size() + 3);
    *to++ = separator;
    *to++ = '"';
    to = core::copy_text(to, key);
    *to++ = '"';
    close(to);
    separator = ',';
  }
  out_.append("]");
}

}  // namespace iotax::driver
