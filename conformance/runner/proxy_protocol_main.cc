// The cases of conformance/proxy_protocol: against core::ProxyReader, in one piece, split in two
// everywhere and byte by byte, and against the model.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runner/case.h"
#include "runner/cuts.h"
#include "runner/proxy_model.h"
#include "runner/proxy_play.h"

namespace {

using namespace iotax;
using namespace iotax::conformance;
using Json = nlohmann::json;

constexpr std::array<std::string_view, core::kProxyFaults> kFaultNames{
    "none",      "nothing",      "cut_off",      "late",      "absent",  "line_limit",
    "line_form", "line_family",  "line_address", "line_port", "version", "command",
    "family",    "header_limit", "address_size", "tlv_size",  "checksum"};

struct ProxyCase {
  std::string id;
  std::string raw;
  bool eof = false;
  ProxyOutcome expected;
};

ProxyOutcome expected_of(const Json& expect) {
  ProxyOutcome outcome;
  if (expect.contains("fault")) {
    const std::string name = expect["fault"];
    const auto* const found = std::find(kFaultNames.begin(), kFaultNames.end(), name);
    if (found == kFaultNames.end()) throw std::runtime_error("unknown fault " + name);
    outcome.verdict = ProxyVerdict::fault;
    outcome.fault = static_cast<core::ProxyFault>(found - kFaultNames.begin());
  } else if (expect.contains("header")) {
    const Json& header = expect["header"];
    outcome.verdict = ProxyVerdict::header;
    outcome.header = {.bytes = header.at("bytes"),
                      .version = header.at("version"),
                      .transport = header.at("transport"),
                      .source = header.value("source", ""),
                      .destination = header.value("destination", ""),
                      .source_port = header.value("source_port", 0U),
                      .destination_port = header.value("destination_port", 0U),
                      .tls = header.value("tls", false),
                      .tlvs = {}};
    for (const Json& tlv : header.value("tlvs", Json::array()))
      outcome.header.tlvs.emplace_back(tlv.at(0), latin1(tlv.at(1).get<std::string>()));
  } else if (!expect.at("wait").get<bool>()) {
    throw std::runtime_error("wait is not true");
  }
  return outcome;
}

std::vector<ProxyCase> load(const std::filesystem::path& directory) {
  std::vector<ProxyCase> cases;
  for (const char* const name : {"v1.jsonl", "v2.jsonl"}) {
    std::ifstream lines(directory / name);
    for (std::string line; std::getline(lines, line);) {
      const Json object = Json::parse(line);
      cases.push_back({object.at("id"), latin1(object.at("raw").get<std::string>()),
                       object.value("eof", false), expected_of(object.at("expect"))});
    }
  }
  return cases;
}

/// Empty: all is as expected.
std::string problem_of(const ProxyCase& subject) {
  std::vector<Cuts> ways{{}, single_octets(subject.raw.size())};
  for (const std::size_t at : cut_positions(subject.raw.size())) ways.push_back({at});
  for (const Cuts& cuts : ways) {
    const ProxyOutcome outcome = play_proxy_header(subject.raw, cuts, subject.eof);
    if (outcome == subject.expected) continue;
    const std::string where = cuts.empty()       ? "in one piece"
                              : cuts.size() == 1 ? "split at " + std::to_string(cuts[0])
                                                 : "byte by byte";
    return where + ": fault " + std::string(kFaultNames[static_cast<std::size_t>(outcome.fault)]) +
           ", transport \"" + outcome.header.transport + "\"";
  }
  MeantProxyHeader meant;
  ProxyVerdict verdict = proxy_header_of(subject.raw, meant);
  if (verdict == ProxyVerdict::unfinished && subject.eof) verdict = ProxyVerdict::fault;
  const bool same = verdict == subject.expected.verdict &&
                    (verdict != ProxyVerdict::header || meant == subject.expected.header);
  return same ? "" : "the model differs";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || std::string_view(argv[1]) != "--cases") {
    std::fprintf(stderr, "usage: %s --cases DIRECTORY\n", argv[0]);
    return 2;
  }
  std::size_t passed = 0;
  const std::vector<ProxyCase> cases = load(argv[2]);
  for (const ProxyCase& subject : cases) {
    const std::string problem = problem_of(subject);
    if (!problem.empty()) std::printf("%s: %s\n", subject.id.c_str(), problem.c_str());
    passed += problem.empty() ? 1 : 0;
  }
  std::printf("%zu of %zu cases passed\n", passed, cases.size());
  return passed == cases.size() && passed != 0 ? 0 : 1;
}
