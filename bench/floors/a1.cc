// Floor A1: floor A with the parser. llhttp reads every byte; its events only mark the end of a
// request.
#include <llhttp.h>

#include "floors/serve.h"

namespace {

class Session {
 public:
  Session() {
    llhttp_init(&parser_, HTTP_REQUEST, &settings());
    parser_.data = this;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  iotax::bench::Then receive(std::string_view bytes, iotax::bench::Answers& answers) {
    answers_ = &answers;
    const bool parsed = llhttp_execute(&parser_, bytes.data(), bytes.size()) == HPE_OK;
    return parsed ? iotax::bench::Then::keep : iotax::bench::Then::close;
  }

 private:
  static const llhttp_settings_t& settings() {
    static const llhttp_settings_t settings = [] {
      llhttp_settings_t made;
      llhttp_settings_init(&made);
      made.on_message_complete = [](llhttp_t* parser) {
        static_cast<Session*>(parser->data)->answers_->append(iotax::bench::kAnswer);
        return 0;
      };
      return made;
    }();
    return settings;
  }

  llhttp_t parser_;
  iotax::bench::Answers* answers_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) { return iotax::bench::run<Session>(argc, argv); }
