// Reads the JSON lines.
#include "runner/case.h"

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string_view>

namespace iotax::conformance {
namespace {

using Json = nlohmann::json;

void allow_only(const Json& object, std::initializer_list<std::string_view> keys) {
  for (const auto& item : object.items()) {
    if (std::find(keys.begin(), keys.end(), item.key()) == keys.end()) {
      throw std::runtime_error("unknown key \"" + item.key() + "\"");
    }
  }
}

std::string octets(const Json& value) { return latin1(value.get_ref<const std::string&>()); }

/// `content-type` to the key under which a WSGI application finds the field.
std::string environ_key(std::string_view name) {
  std::string key;
  for (const char c : name) {
    key.push_back(c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
  }
  return key == "CONTENT_TYPE" || key == "CONTENT_LENGTH" ? key : "HTTP_" + key;
}

WantedAnswer wanted_answer(const Json& value) {
  if (value.is_array()) return {false, value.get<std::vector<int>>()};
  if (value == "ok") return {true, {}};
  throw std::runtime_error("neither \"ok\" nor a list of statuses: " + value.dump());
}

WantedRequest wanted_request(const Json& object) {
  allow_only(object, {"method", "path_info", "query", "body", "headers", "environ"});
  WantedRequest request{octets(object.at("method")),
                        octets(object.at("path_info")),
                        octets(object.at("query")),
                        octets(object.at("body")),
                        {}};
  const auto add = [&request](std::string key, const Json& value) {
    request.environ.emplace(std::move(key),
                            value.is_null() ? std::nullopt : std::optional(octets(value)));
  };
  if (object.contains("headers")) {
    for (const auto& field : object["headers"].items())
      add(environ_key(field.key()), field.value());
  }
  if (object.contains("environ")) {
    for (const auto& entry : object["environ"].items()) add(entry.key(), entry.value());
  }
  return request;
}

Interim interim_of(const Json& object) {
  if (!object.contains("interim")) return Interim::optional;
  const auto& text = object["interim"].get_ref<const std::string&>();
  if (text == "required") return Interim::required;
  if (text == "forbidden") return Interim::forbidden;
  throw std::runtime_error("interim is neither required nor forbidden: " + text);
}

Expectation expectation(const Json& object) {
  allow_only(object, {"status", "responses", "requests", "close", "interim", "resp_headers"});
  Expectation expect;
  expect.text = object.dump(-1, ' ', true);
  const Json& status = object.at("status");
  expect.pending = status == "pending";
  if (!expect.pending) expect.first = wanted_answer(status);
  for (const Json& request : object.at("requests")) {
    expect.requests.push_back(wanted_request(request));
  }
  if (object.contains("responses")) {
    for (const Json& answer : object["responses"]) expect.answers.push_back(wanted_answer(answer));
  } else if (expect.first.served) {
    expect.answers.assign(expect.requests.size(), expect.first);
  } else if (!expect.pending) {
    expect.answers.push_back(expect.first);
  }
  const Json& close = object.at("close");
  if (!close.is_null()) expect.close = close.get<bool>();
  expect.interim = interim_of(object);
  if (object.contains("resp_headers")) {
    expect.fields = object["resp_headers"].get<std::map<std::string, std::string>>();
  }
  return expect;
}

SendStep send_step(const Json& object) {
  allow_only(object, {"send", "await", "pause"});
  SendStep step{octets(object.at("send")), object.value("await", 0), {}};
  step.pause = std::chrono::duration_cast<core::Duration>(
      std::chrono::duration<double>(object.value("pause", 0.0)));
  return step;
}

Case one_case(const Json& object) {
  allow_only(object, {"id", "group", "level", "raw", "eof", "steps", "app", "expect", "alt", "rule",
                      "why"});
  Case result;
  result.id = object.at("id").get<std::string>();
  result.group = object.at("group").get<std::string>();
  result.rule = object.at("rule").get<std::string>();
  result.why = object.at("why").get<std::string>();
  result.raw = octets(object.at("raw"));
  result.eof = object.at("eof").get<bool>();
  result.noread = object.value("app", std::string()) == "noread";
  result.stepwise = object.contains("steps");
  if (result.stepwise) {
    std::string sent;
    for (const Json& step : object["steps"]) {
      result.steps.push_back(send_step(step));
      sent += result.steps.back().bytes;
    }
    if (sent != result.raw) throw std::runtime_error("the steps do not add up to \"raw\"");
  } else {
    result.steps.push_back({result.raw, 0, {}});
  }
  result.expectations.push_back(expectation(object.at("expect")));
  if (object.contains("alt")) {
    for (const Json& other : object["alt"]) result.expectations.push_back(expectation(other));
  }
  return result;
}

}  // namespace

std::vector<Case> load_cases(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  std::set<std::string> ids;
  for (const auto& file : files) {
    std::ifstream lines(file);
    std::string line;
    for (std::size_t number = 1; std::getline(lines, line); ++number) {
      try {
        cases.push_back(one_case(Json::parse(line)));
        if (!ids.insert(cases.back().id).second) throw std::runtime_error("the id is there twice");
      } catch (const std::exception& error) {
        throw std::runtime_error(file.string() + ":" + std::to_string(number) + ": " +
                                 error.what());
      }
    }
  }
  return cases;
}

std::string latin1(std::string_view utf8) {
  std::string out;
  out.reserve(utf8.size());
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto lead = static_cast<unsigned char>(utf8[i]);
    if (lead < 0x80) {
      out.push_back(utf8[i]);
    } else if ((lead == 0xC2 || lead == 0xC3) && i + 1 < utf8.size()) {
      const auto tail = static_cast<unsigned char>(utf8[++i]);
      out.push_back(static_cast<char>(((lead & 0x03U) << 6U) | (tail & 0x3FU)));
    } else {
      throw std::runtime_error("a code point above 255 in \"raw\" text");
    }
  }
  return out;
}

std::string escaped(std::string_view octets, std::size_t bytes_max) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : octets.substr(0, bytes_max)) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '\r') {
      out += "\\r";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\\') {
      out += "\\\\";
    } else if (octet >= 0x20 && octet < 0x7F) {
      out.push_back(c);
    } else {
      out += "\\x";
      out.push_back(kHex[octet >> 4U]);
      out.push_back(kHex[octet & 0x0FU]);
    }
  }
  if (octets.size() > bytes_max) out += " ... (" + std::to_string(octets.size()) + " octets)";
  return out;
}

}  // namespace iotax::conformance
