// The callbacks only record where pieces are, apply the rules, and stop llhttp.
#include "core/llhttp_callbacks.h"

#include <llhttp.h>

#include "core/parser.h"
#include "core/text.h"

namespace iotax::core {
namespace {

constexpr std::string_view kContentLength = "content-length";
constexpr std::string_view kTransferEncoding = "transfer-encoding";
constexpr std::uint8_t kOrdinary = 0;  // llhttp's state for a field that it does not interpret

Parser& parser_of(const llhttp_t* machine) noexcept { return *static_cast<Parser*>(machine->data); }

}  // namespace

struct Callbacks {
  // A piece takes several calls if the bytes were split inside it.
  static int on_url(llhttp_t* machine, const char* at, std::size_t length) noexcept {
    Parser& parser = parser_of(machine);
    const std::uint32_t begin = parser.offset(at);
    if (parser.target_.end == 0) parser.target_.begin = begin;
    parser.target_.end = begin + static_cast<std::uint32_t>(length);
    return 0;
  }
  static int on_version_complete(llhttp_t* machine) noexcept {
    return parser_of(machine).accept_request_line() ? 0 : -1;
  }
  static int on_field_name(llhttp_t* machine, const char* at, std::size_t length) noexcept {
    Parser& parser = parser_of(machine);
    const std::uint32_t begin = parser.offset(at);
    if (!parser.in_name_) {
      parser.in_name_ = true;
      parser.name_.begin = begin;
      parser.value_ = {};
    }
    parser.name_.end = begin + static_cast<std::uint32_t>(length);
    return 0;
  }
  static int on_field_value(llhttp_t* machine, const char* at, std::size_t length) noexcept {
    Parser& parser = parser_of(machine);
    const std::uint32_t begin = parser.offset(at);
    if (parser.value_.end == 0) parser.value_.begin = begin;
    parser.value_.end = begin + static_cast<std::uint32_t>(length);
    return 0;
  }
  /// FieldRules alone checks Content-Length and Transfer-Encoding: llhttp 9.2 rejects HTAB after
  /// their values, which RFC 9110 §5.5 allows.
  static int on_name_complete(llhttp_t* machine) noexcept {
    const Parser& parser = parser_of(machine);
    const std::string_view name = parser.name_.in(parser.base_);
    if ((name.size() == kContentLength.size() && same_token(name, kContentLength)) ||
        (name.size() == kTransferEncoding.size() && same_token(name, kTransferEncoding)))
      machine->header_state = kOrdinary;
    return 0;
  }
  static int on_field_complete(llhttp_t* machine) noexcept {
    return parser_of(machine).accept_field() ? 0 : -1;
  }
  static int on_head_complete(llhttp_t* machine) noexcept {
    machine->upgrade = 0;  // rule 37: what follows stays HTTP/1.1
    if (parser_of(machine).rules_.has_coding()) machine->flags |= F_CHUNKED;  // rule 22
    return parser_of(machine).accept_head() ? HPE_PAUSED : -1;
  }

  // Body. At most one on_data() call between two stops.
  static int on_data(llhttp_t* machine, const char* at, std::size_t length) noexcept {
    parser_of(machine).data_ = {at, length};
    return 0;
  }
  static int on_chunk_header(llhttp_t* machine) noexcept {
    parser_of(machine).chunk_bytes_ = machine->content_length;
    parser_of(machine).stop_ = Parser::Stop::chunk_line;
    return HPE_PAUSED;
  }
  static int on_chunk_complete(llhttp_t* machine) noexcept {
    Parser& parser = parser_of(machine);
    if (parser.chunks_.place() == ChunkLimits::Place::trailers)
      return 0;  // the end of the message follows immediately
    parser.stop_ = Parser::Stop::chunk_data;
    return HPE_PAUSED;
  }
  static int on_end(llhttp_t* machine) noexcept {
    parser_of(machine).stop_ = Parser::Stop::end;
    return HPE_PAUSED;
  }
  static int on_extension(llhttp_t* machine, const char* at, std::size_t length) noexcept {
    return parser_of(machine).chunks_.extension_octets({at, length}) ? 0 : -1;
  }
  static int judged(Parser& parser, Fault fault) noexcept {
    if (fault == Fault::none) return 0;
    parser.refusal_.fault = fault;
    return -1;
  }
  static int on_extension_complete(llhttp_t* machine) noexcept {
    Parser& parser = parser_of(machine);
    return judged(parser, parser.chunks_.extension_part_complete());
  }
  static int on_trailer_name(llhttp_t* machine, const char* at, std::size_t length) noexcept {
    parser_of(machine).chunks_.trailer_name({at, length});
    return 0;
  }
  /// Keep llhttp from interpreting trailers: none of them affects framing.
  static int on_trailer_name_complete(llhttp_t* machine) noexcept {
    machine->header_state = kOrdinary;
    return 0;
  }
  static int on_trailer_complete(llhttp_t* machine) noexcept {
    Parser& parser = parser_of(machine);
    return judged(parser, parser.chunks_.trailer_complete());
  }
};

const llhttp_settings_s& head_settings() noexcept {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t made{};
    made.on_url = Callbacks::on_url;
    made.on_version_complete = Callbacks::on_version_complete;
    made.on_header_field = Callbacks::on_field_name;
    made.on_header_field_complete = Callbacks::on_name_complete;
    made.on_header_value = Callbacks::on_field_value;
    made.on_header_value_complete = Callbacks::on_field_complete;
    made.on_headers_complete = Callbacks::on_head_complete;
    return made;
  }();
  return settings;
}

const llhttp_settings_s& content_settings() noexcept {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t made{};
    made.on_body = Callbacks::on_data;
    made.on_chunk_header = Callbacks::on_chunk_header;
    made.on_chunk_complete = Callbacks::on_chunk_complete;
    made.on_message_complete = Callbacks::on_end;
    made.on_chunk_extension_name = Callbacks::on_extension;
    made.on_chunk_extension_value = Callbacks::on_extension;
    made.on_chunk_extension_name_complete = Callbacks::on_extension_complete;
    made.on_chunk_extension_value_complete = Callbacks::on_extension_complete;
    made.on_header_field = Callbacks::on_trailer_name;
    made.on_header_field_complete = Callbacks::on_trailer_name_complete;
    made.on_header_value_complete = Callbacks::on_trailer_complete;
    return made;
  }();
  return settings;
}

}  // namespace iotax::core
