// Mistakes on purpose, one by name: a build with a sanitizer has to end each with a report. Shows
// that the set-up of the other tests sees something.
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <thread>

#include "traps.h"

namespace {

int raced = 0;

void race() {
  std::thread other([] { ++raced; });
  ++raced;
  other.join();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc == 2 ? argv[1] : "";
  if (name == "overflow") iotax::traps::overflow(static_cast<std::size_t>(argc) + 6);
  if (name == "undefined") iotax::traps::undefined(std::numeric_limits<int>::max() - 2 + argc);
  if (name == "race") race();
  std::printf("nothing has caught \"%s\"\n", argv[argc - 1]);
  return EXIT_SUCCESS;
}
