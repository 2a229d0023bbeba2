// Floor A': accept, read once, send a constant response, close. Measures the cost of a connection
// without keep-alive.
#include "floors/serve.h"

namespace {

struct Session {
  static iotax::bench::Then receive(std::string_view, iotax::bench::Answers& answers) {
    answers.append(iotax::bench::kAnswerAndClose);
    return iotax::bench::Then::close;
  }
};

}  // namespace

int main(int argc, char** argv) { return iotax::bench::run<Session>(argc, argv); }
