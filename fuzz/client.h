// Shared by the targets that replay the bytes of a client: the input format, and how a failing
// input is printed.
// Input: a byte of flags, a byte that seeds the splits, then the client's bytes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "core/limits.h"
#include "runner/case.h"
#include "runner/observed.h"

namespace iotax::fuzz {

inline constexpr std::uint8_t kEarly = 1;  // the application is called when the head is complete
inline constexpr std::uint8_t kSmallLimits = 2;  // so that short inputs reach every limit
inline constexpr std::uint8_t kEof = 4;  // the client shuts down its sending side at the end

struct ClientInput {
  std::uint8_t flags;
  std::uint8_t cut_seed;
  std::string_view octets;
  [[nodiscard]] bool has(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
};

/// Nothing if the input is too short.
inline std::optional<ClientInput> client_input(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return std::nullopt;
  return ClientInput{data[0], data[1], {reinterpret_cast<const char*>(data) + 2, size - 2}};
}

inline core::Limits small_limits() {
  core::Limits limits;
  limits.request_line_bytes_max = 48;
  limits.field_line_bytes_max = 48;
  limits.head_bytes_max = 160;
  limits.fields_max = 4;
  limits.body_bytes_max = 24;
  limits.chunk_line_bytes_max = 16;
  limits.chunk_extension_bytes_max = 24;
  limits.trailer_bytes_max = 48;
  limits.trailers_max = 2;
  limits.keep_alive_requests = 3;
  limits.drain_bytes_max = 3;
  return limits;
}

[[noreturn]] inline void die(std::string_view sent, const std::string& why,
                             const conformance::Observed& run) {
  std::fprintf(stderr, "\n%s\n  sent      %s\n%s", why.c_str(), conformance::escaped(sent).c_str(),
               conformance::describe(run).c_str());
  std::abort();
}

}  // namespace iotax::fuzz
