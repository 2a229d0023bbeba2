// Callbacks that llhttp calls while it parses a head or a chunked body for a Parser.
#pragma once

#include <cstddef>
#include <new>
#include <span>

struct llhttp_settings_s;  // llhttp_settings_t

namespace iotax::core {

/// Settings for a machine whose `data` is the Parser. Static storage; llhttp only reads them.
[[nodiscard]] const llhttp_settings_s& head_settings() noexcept;
[[nodiscard]] const llhttp_settings_s& content_settings() noexcept;

/// The llhttp_t in the storage that the Parser reserves for it.
template <class Machine>
[[nodiscard]] Machine* machine_in(std::span<std::byte> storage) noexcept {
  return std::launder(reinterpret_cast<Machine*>(storage.data()));
}

}  // namespace iotax::core
