// A conformance case as data, and how it is read from the JSON lines of conformance/http1. It must
// not know who runs it: core and driver levels share it. The form is described in
// conformance/http1/README.md.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/instant.h"

namespace iotax::conformance {

/// One acceptable final response: a 2xx of the application, or one of these statuses.
struct WantedAnswer {
  bool served = false;
  std::vector<int> statuses;  // 0: closed without a response
};

/// A request as the application must receive it.
struct WantedRequest {
  std::string method;
  std::string path_info;
  std::string query;
  std::string body;
  /// Keys of environ and their values; nothing: the key must be absent.
  std::map<std::string, std::optional<std::string>> environ;
};

enum class Interim : std::uint8_t { optional, required, forbidden };

struct Expectation {
  bool pending = false;               // no response and no close for half a second
  WantedAnswer first;                 // `status`
  std::vector<WantedAnswer> answers;  // `responses`, or its default
  std::vector<WantedRequest> requests;
  std::optional<bool> close;
  Interim interim = Interim::optional;
  std::map<std::string, std::string>
      fields;        // of the first response: name in lower case, part of its value
  std::string text;  // the JSON of the case
};

/// Send `bytes`, then wait for the interim status `await` (0: none), or let `pause` pass.
struct SendStep {
  std::string bytes;
  int await = 0;
  core::Duration pause{};
};

struct Case {
  std::string id;
  std::string group;
  std::string rule;
  std::string why;
  std::string raw;
  bool eof = false;
  bool noread = false;
  bool stepwise = false;                  // `steps` was given
  std::vector<SendStep> steps;            // one when `steps` is absent
  std::vector<Expectation> expectations;  // `expect`, then `alt`; one of them must be met
};

/// All cases of the `*.jsonl` files in `directory`, in the order of file names and lines.
/// Throws std::runtime_error with file and line for an unknown key, a wrong type or an id that is
/// there twice.
[[nodiscard]] std::vector<Case> load_cases(const std::filesystem::path& directory);

/// The text of a case to bytes: code points 0 to 255, which UTF-8 holds in one byte or two.
[[nodiscard]] std::string latin1(std::string_view utf8);

/// Bytes as text: printable ASCII as it is, the rest as \r \n \t \xNN; shortened beyond
/// `bytes_max`.
[[nodiscard]] std::string escaped(std::string_view octets, std::size_t bytes_max = 2000);

}  // namespace iotax::conformance
