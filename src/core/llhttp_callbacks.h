// What llhttp calls while it reads a head or a chunked body of a Parser.
#pragma once

#include <cstddef>
#include <new>
#include <span>

struct llhttp_settings_s;  // llhttp_settings_t

namespace iotax::core {

/// For a machine whose `data` is the Parser. They last for ever; llhttp only reads them.
[[nodiscard]] const llhttp_settings_s& head_settings() noexcept;
[[nodiscard]] const llhttp_settings_s& content_settings() noexcept;

/// The llhttp_t in the storage that the parser's header keeps for it.
template <class Machine>
[[nodiscard]] Machine* machine_in(std::span<std::byte> storage) noexcept {
  return std::launder(reinterpret_cast<Machine*>(storage.data()));
}

}  // namespace iotax::core
