#include "admin/json.h"

#include <algorithm>

#include "driver/log/escape.h"

namespace iotax::admin {

std::string seconds_text(core::Duration value) {
  const auto milliseconds = static_cast<std::uint64_t>(std::max(value, core::Duration::zero()) /
                                                       std::chrono::milliseconds{1});
  return std::to_string(milliseconds / 1000) + "." +
         std::to_string(1000 + milliseconds % 1000).substr(1);
}

void Json::seconds(std::string_view key, core::Duration value) {
  begin(key);
  out_ += seconds_text(value);
}

void Json::begin(std::string_view key) {
  if (!first_) out_ += ',';
  first_ = false;
  if (!key.empty()) out_.append("\"").append(key).append("\":");
}

void Json::text(std::string_view key, std::string_view value) {
  begin(key);
  std::string escaped(value.size() * driver::kEscapedBytesMax, '\0');
  const char* const end = driver::write_json_escaped(escaped.data(), value, escaped.size());
  escaped.resize(static_cast<std::size_t>(end - escaped.data()));
  out_.append("\"").append(escaped).append("\"");
}

}  // namespace iotax::admin
