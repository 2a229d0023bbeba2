// Floor A: a constant response for each empty line. Measures the cost of the kernel only.
#include "floors/serve.h"

namespace {

struct Session {
  static iotax::bench::Then receive(std::string_view bytes, iotax::bench::Answers& answers) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    for (auto at = bytes.find(kEnd); at != bytes.npos; at = bytes.find(kEnd, at + kEnd.size())) {
      answers.append(iotax::bench::kAnswer);
    }
    return iotax::bench::Then::keep;
  }
};

}  // namespace

int main(int argc, char** argv) { return iotax::bench::run<Session>(argc, argv); }
