// What a peer can do wrong: one enum, and for each fault its status, its rule in words, and the option that changes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace iotax::core {

struct Limits;
struct Rejected;

/// One entry per rule that can be broken (http1-policy). To be completed; every entry has a status_of(), a reason() and a case.
enum class Fault : std::uint8_t {
  none,
};

/// The status of the answer; 0: close without an answer. Switches without default.
[[nodiscard]] int status_of(Fault fault) noexcept;
/// The rule in words for logs and for the answer, e.g. `path: "%" is not followed by two hex digits`.
[[nodiscard]] std::string_view reason(Fault fault) noexcept;
/// The option that changes the limit, e.g. "--limit-body"; empty when there is none.
[[nodiscard]] std::string_view option_of(Fault fault) noexcept;
/// reason() with the numbers and the option filled in: `body of 5.2 MB is over --limit-body 1 MiB`.
[[nodiscard]] std::string describe(const Rejected& rejected, const Limits& limits);

}  // namespace iotax::core
