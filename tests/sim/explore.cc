// Runs every course of the scenes around the transitions of the lead:
//   explore [--deviations N] [--jobs N] [SCENE...], or one: explore --replay SCENE [POINT:WAY...].
// A course is the plain one with up to N deviations (default: 2). Stops at the first fault and
// prints it with the command that replays it. Exit code: 0, or 1 on a fault.
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "sim/exploration.h"
#include "sim/jobs.h"

namespace {

using namespace iotax::sim;

constexpr std::string_view kUsage =
    "usage: explore [--deviations N] [--jobs N] [SCENE...] | --replay SCENE [POINT:WAY...]";

struct Options {
  std::uint64_t deviations = 2;
  std::uint64_t jobs = cores();
  std::vector<std::string_view> scenes;
};

Course run(std::string_view program, std::string_view scene, const Deviations& deviations) {
  std::string command = std::string(program) + " --replay " + std::string(scene);
  for (const Deviation& one : deviations) {
    command += " " + std::to_string(one.point) + ":" + std::to_string(one.way);
  }
  set_replay(std::move(command));
  Course course = play(scene, deviations);
  if (!course.fault.empty()) {
    std::fprintf(stderr, "%s: %s\n", std::string(scene).c_str(), course.fault.c_str());
  }
  return course;
}

class Exploration {
 public:
  Exploration(std::string_view program, std::string_view scene, const Options& options)
      : program_(program), scene_(scene), options_(options) {}

  /// Run every course whose first deviation is at each `jobs`-th point from the `job`-th on.
  bool explore(std::uint64_t job, std::uint64_t& courses) {
    Deviations none;
    const Course plain = run(program_, scene_, none);
    if (job == 0) ++courses;
    if (!plain.fault.empty()) {
      print_replay();
      return false;
    }
    return deviate(none, plain.ways, job, options_.jobs, courses);
  }

 private:
  /// Add one deviation to `so_far`, in a course that has `ways` choices at each point.
  bool deviate(Deviations& so_far, const std::vector<std::size_t>& ways, std::size_t first,
               std::size_t step, std::uint64_t& courses) {
    if (so_far.size() == options_.deviations) return true;
    for (std::size_t point = first; point < ways.size(); point += step) {
      for (std::size_t way = 1; way < ways[point]; ++way) {
        so_far.push_back({point, way});
        const Course course = run(program_, scene_, so_far);
        ++courses;
        if (!course.fault.empty()) {
          print_replay();
          return false;
        }
        if (!deviate(so_far, course.ways, point + 1, 1, courses)) return false;
        so_far.pop_back();
      }
    }
    return true;
  }

  std::string_view program_;
  std::string_view scene_;
  const Options& options_;
};

int replay(std::string_view program, const std::vector<std::string_view>& words) {
  Deviations deviations;
  for (std::size_t i = 2; i < words.size(); ++i) {
    const std::size_t colon = std::min(words[i].find(':'), words[i].size() - 1);
    deviations.push_back({number_in(words[i].substr(0, colon), kUsage),
                          number_in(words[i].substr(colon + 1), kUsage)});
  }
  const Course course = run(program, words[1], deviations);
  std::printf("%s", course.fault.empty() ? "everything held\n" : course.story.c_str());
  return course.fault.empty() ? 0 : 1;
}

Options read_options(const std::vector<std::string_view>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) {
      options.scenes.push_back(words[i]);
    } else if (i + 1 == words.size()) {
      end_usage(std::string(words[i]) + " needs a number", kUsage);
    } else if (words[i] == "--deviations") {
      options.deviations = number_in(words[++i], kUsage);
    } else if (words[i] == "--jobs") {
      options.jobs = std::max<std::uint64_t>(1, number_in(words[++i], kUsage));
    } else {
      end_usage(std::string(words[i]) + " is not known", kUsage);
    }
  }
  if (options.scenes.empty()) options.scenes = scenes();
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  if (words.size() > 1 && words[0] == "--replay") return replay(argv[0], words);
  const Options options = read_options(words);
  for (const std::string_view scene : options.scenes) {
    const Done done = run_jobs(options.jobs, [&](std::uint64_t job, std::uint64_t& courses) {
      return Exploration(argv[0], scene, options).explore(job, courses);
    });
    std::printf("explore: %.*s: %llu courses, up to %llu deviations, in %.1f s%s\n",
                static_cast<int>(scene.size()), scene.data(),
                static_cast<unsigned long long>(done.runs),
                static_cast<unsigned long long>(options.deviations), done.seconds,
                done.good ? "" : ": FAILED");
    std::fflush(stdout);
    if (!done.good) return 1;
  }
  return 0;
}
