// The parts of a request that floors B0 and B need: method, target and headers as views into the
// bytes of one recv. A request that is split across two recvs ends its connection: load generators
// send complete requests.
#pragma once

#include <llhttp.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace iotax::bench {

struct Field {
  std::string_view name;
  std::string_view value;
};

/// Parses requests and calls Owner::complete(request, sink) for each one; complete() returns false
/// to stop.
template <class Owner, class Sink>
class Requests {
 public:
  explicit Requests(Owner& owner) : owner_(owner) {
    llhttp_init(&parser_, HTTP_REQUEST, &settings());
    parser_.data = this;
  }
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;

  [[nodiscard]] std::string_view target() const noexcept { return target_; }
  [[nodiscard]] llhttp_method_t method() const noexcept {
    return static_cast<llhttp_method_t>(parser_.method);
  }
  [[nodiscard]] const Field* begin() const noexcept { return fields_.data(); }
  [[nodiscard]] const Field* end() const noexcept { return fields_.data() + count_; }

  /// false: not HTTP, a request was split, or complete() returned false.
  bool receive(std::string_view bytes, Sink& sink) {
    sink_ = &sink;
    return llhttp_execute(&parser_, bytes.data(), bytes.size()) == HPE_OK && !inside_;
  }

 private:
  static Requests& self(llhttp_t* parser) { return *static_cast<Requests*>(parser->data); }
  static const llhttp_settings_t& settings() {
    static const llhttp_settings_t settings = [] {
      llhttp_settings_t made;
      llhttp_settings_init(&made);
      made.on_message_begin = [](llhttp_t* parser) {
        self(parser).inside_ = true;
        self(parser).count_ = 0;
        return 0;
      };
      made.on_url = [](llhttp_t* parser, const char* at, std::size_t size) {
        self(parser).target_ = {at, size};
        return 0;
      };
      made.on_header_field = [](llhttp_t* parser, const char* at, std::size_t size) {
        Requests& me = self(parser);
        if (me.count_ == me.fields_.size()) return -1;
        me.fields_[me.count_].name = {at, size};
        return 0;
      };
      made.on_header_value = [](llhttp_t* parser, const char* at, std::size_t size) {
        Requests& me = self(parser);
        me.fields_[me.count_++].value = {at, size};
        return 0;
      };
      made.on_message_complete = [](llhttp_t* parser) {
        Requests& me = self(parser);
        me.inside_ = false;
        return me.owner_.complete(me, *me.sink_) ? 0 : -1;
      };
      return made;
    }();
    return settings;
  }

  llhttp_t parser_;
  Owner& owner_;
  Sink* sink_ = nullptr;
  bool inside_ = false;
  std::string_view target_;
  std::array<Field, 64> fields_;
  std::size_t count_ = 0;
};

}  // namespace iotax::bench
