// The command line and the loop over cases and cuts.
#include "runner/level.h"

#include <algorithm>
#include <exception>
#include <iostream>
#include <optional>

namespace iotax::conformance {
namespace {

struct Arguments {
  std::string directory;
  std::vector<std::string> only;
};

std::optional<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--cases") {
      arguments.directory = argv[i + 1];
    } else if (name == "--only") {
      arguments.only.emplace_back(argv[i + 1]);
    } else {
      return std::nullopt;
    }
  }
  if (arguments.directory.empty() || argc % 2 == 0) return std::nullopt;
  return arguments;
}

bool chosen(const Case& subject, const std::vector<std::string>& only) {
  return only.empty() || std::any_of(only.begin(), only.end(), [&](const std::string& name) {
           return name == subject.id || name == subject.group;
         });
}

std::string in_words(const Cuts& cuts, std::size_t raw_bytes) {
  if (cuts.empty()) return "in one piece";
  if (cuts.size() + 1 == raw_bytes) return "byte by byte";
  std::string out = "cut at";
  for (const std::size_t cut : cuts) out += " " + std::to_string(cut);
  return out;
}

void report(const Case& subject, const std::string& how, const std::string& why,
            const Observed& observed) {
  std::cout << "FAILED " << subject.id << " (" << subject.group << "), " << how << "\n  " << why
            << "\n  rule      " << subject.rule << "\n  point     " << subject.why << '\n';
  for (const SendStep& step : subject.steps)
    std::cout << "  sent      " << escaped(step.bytes) << '\n';
  if (subject.eof) std::cout << "            then the client shuts down its sending side\n";
  for (const Expectation& expect : subject.expectations)
    std::cout << "  expected  " << expect.text << '\n';
  std::cout << describe(observed) << '\n';
}

std::vector<Cuts> all_cuts(const Case& subject, bool every_cut) {
  const std::size_t bytes = subject.raw.size();
  std::vector<Cuts> result;
  if (bytes < 2) return result;
  if (every_cut) {
    for (const std::size_t at : cut_positions(bytes)) result.push_back({at});
  } else {
    constexpr std::size_t kFew = 16;
    for (std::size_t at = 1; at < bytes; at += std::max<std::size_t>(1, bytes / kFew))
      result.push_back({at});
  }
  if (bytes > 2) result.push_back(single_octets(bytes));
  return result;
}

/// Stops at the first split that fails.
bool passes(const Case& subject, const Variant& variant, bool every_cut) {
  const auto fail = [&](const Cuts& cuts, const std::string& why, const Observed& observed) {
    report(subject, variant.name + ", " + in_words(cuts, subject.raw.size()), why, observed);
    return false;
  };
  const Observed whole = variant.run(subject, {});
  if (const auto why = objection(subject, whole)) return fail({}, *why, whole);
  for (const Cuts& cuts : all_cuts(subject, every_cut)) {
    const Observed cut = variant.run(subject, cuts);
    if (const auto why = objection(subject, cut)) return fail(cuts, *why, cut);
    const auto differs = difference(whole, cut);
    if (!differs.empty()) return fail(cuts, differs, cut);
  }
  return true;
}

}  // namespace

int run_level(const Level& level, int argc, char** argv) {
  const auto arguments = parse(argc, argv);
  if (!arguments) {
    std::cerr << "usage: " << argv[0] << " --cases DIR [--only ID|GROUP]...\n";
    return 2;
  }
  std::vector<Case> cases;
  try {
    cases = load_cases(arguments->directory);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
  std::size_t run = 0;
  std::size_t passed = 0;
  for (const Case& subject : cases) {
    if (!chosen(subject, arguments->only)) continue;
    ++run;
    const bool all =
        std::all_of(level.variants.begin(), level.variants.end(), [&](const Variant& variant) {
          return !variant.applies(subject) || passes(subject, variant, level.every_cut);
        });
    passed += all ? 1U : 0U;
  }
  std::cout << level.name << ": " << passed << " of " << run << '\n';
  if (run == 0) {
    std::cerr << "no case found in " << arguments->directory << '\n';
    return 2;
  }
  return passed == run ? 0 : 1;
}

}  // namespace iotax::conformance
