// The callbacks of llhttp, each with the reader as its data.
#include "llhttp_reader.h"

#include <llhttp.h>

namespace iotax::fuzz {
namespace {

class Reader {
 public:
  explicit Reader(const std::vector<std::string>& methods) : methods_(methods) {
    llhttp_settings_init(&settings_);
    settings_.on_message_begin = [](llhttp_t* machine) {
      of(machine).found_.all.emplace_back();
      return 0;
    };
    settings_.on_header_field = [](llhttp_t* machine, const char* at, std::size_t size) {
      of(machine).name_.append(at, size);
      return 0;
    };
    settings_.on_header_value = [](llhttp_t* machine, const char* at, std::size_t size) {
      of(machine).value_.append(at, size);
      return 0;
    };
    settings_.on_header_value_complete = [](llhttp_t* machine) { return of(machine).field(); };
    settings_.on_headers_complete = [](llhttp_t* machine) { return of(machine).head(); };
    settings_.on_body = [](llhttp_t* machine, const char* at, std::size_t size) {
      of(machine).found_.all.back().content.append(at, size);
      return 0;
    };
    settings_.on_message_complete = [](llhttp_t* machine) {
      of(machine).found_.all.back().complete = true;
      return 0;
    };
    llhttp_init(&machine_, HTTP_RESPONSE, &settings_);
    machine_.data = this;
  }
  Reader(const Reader&) = delete;

  LlhttpAnswers read(std::string_view octets, bool ended) {
    const llhttp_errno_t error = llhttp_execute(&machine_, octets.data(), octets.size());
    if (error != HPE_OK) found_.error = llhttp_get_error_reason(&machine_);
    // A message that ends early is not complete; the caller decides whether that is an error.
    if (error == HPE_OK && ended) static_cast<void>(llhttp_finish(&machine_));
    return std::move(found_);
  }

 private:
  static Reader& of(llhttp_t* machine) { return *static_cast<Reader*>(machine->data); }

  int field() {
    for (char& c : name_) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
    found_.all.back().fields.emplace_back(std::move(name_), std::move(value_));
    name_.clear();
    value_.clear();
    return 0;
  }
  /// Returns 1 if no body follows, whatever the head says.
  int head() {
    conformance::Answer& answer = found_.all.back();
    answer.status = machine_.status_code;
    if (answer.interim()) return 0;
    return finals_++ < methods_.size() && methods_[finals_ - 1] == "HEAD" ? 1 : 0;
  }

  const std::vector<std::string>& methods_;
  std::size_t finals_ = 0;
  llhttp_settings_t settings_{};
  llhttp_t machine_{};
  std::string name_, value_;
  LlhttpAnswers found_;
};

}  // namespace

LlhttpAnswers read_with_llhttp(std::string_view octets, const std::vector<std::string>& methods,
                               bool ended) {
  return Reader(methods).read(octets, ended);
}

}  // namespace iotax::fuzz
