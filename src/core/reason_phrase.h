// The registered reason phrases.
#pragma once

#include <string_view>

namespace iotax::core {

/// "Not Found" for 404; empty for codes without a registered phrase.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

}  // namespace iotax::core
