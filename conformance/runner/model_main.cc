// The level of the model: every case against meaning_of(), so that the model can be trusted to
// judge the core. Its responses have no body, and the first status of a rejection.
#include "runner/level.h"
#include "runner/policy_model.h"

namespace {

using namespace iotax;

class ModelPlay {
 public:
  explicit ModelPlay(const core::Limits& limits) : limits_(limits) {}

  void receive(std::string_view octets) {
    octets_ += octets;
    if (!closed()) play(false);
  }
  void eof() {
    if (!closed()) play(true);
  }
  void pass(core::Duration) {}
  [[nodiscard]] bool closed() const noexcept { return observed_.closed; }
  [[nodiscard]] bool saw_interim(int status) {
    return observed_.output.ends_with("HTTP/1.1 " + std::to_string(status) + " \r\n\r\n");
  }
  [[nodiscard]] const conformance::Observed& observed() const noexcept { return observed_; }

 private:
  void play(bool eof) {
    const conformance::Meaning meaning = conformance::meaning_of(octets_, eof, limits_);
    observed_.requests = meaning.requests;
    for (; answered_ < meaning.answers.size(); ++answered_) say(meaning.answers[answered_]);
    if (meaning.continue_due) observed_.output += "HTTP/1.1 100 \r\n\r\n";
    observed_.closed = meaning.ending == conformance::Ending::closed ||
                       meaning.ending == conformance::Ending::refused;
    if (meaning.ending == conformance::Ending::refused && *meaning.refusals.begin() != 0)
      say({*meaning.refusals.begin(), "close"});
  }
  void say(const conformance::MeantAnswer& answer) {
    observed_.output += "HTTP/1.1 " + std::to_string(answer.status) + " \r\n";
    if (answer.status != 204) observed_.output += "Content-Length: 0\r\n";
    if (!answer.connection.empty()) observed_.output += "Connection: " + answer.connection + "\r\n";
    observed_.output += "\r\n";
  }

  const core::Limits& limits_;
  std::string octets_;
  std::size_t answered_ = 0;
  conformance::Observed observed_;
};

/// In one piece only: the model sees all input together, so splits do not affect it.
conformance::Observed run(const conformance::Case& subject, const conformance::Cuts&) {
  const core::Limits limits;
  ModelPlay play(limits);
  return conformance::run_steps(subject, {}, play);
}

}  // namespace

int main(int argc, char** argv) {
  conformance::Level level;
  level.name = "model";
  level.every_cut = false;
  level.variants.push_back(
      {"whole transcripts", [](const conformance::Case&) { return true; }, run});
  return conformance::run_level(level, argc, argv);
}
