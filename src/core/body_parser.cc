// Chunked bodies: the limits that llhttp does not check, and the faults of what it rejects.
#include <llhttp.h>

#include "core/diagnose.h"
#include "core/llhttp_callbacks.h"
#include "core/parser.h"

namespace iotax::core {

void Parser::start_content() noexcept {
  machine_in<llhttp_t>(machine_)->settings =
      const_cast<llhttp_settings_t*>(&content_settings());  // llhttp only reads it
  chunks_.start();
  refusal_ = {};
}

/// Name the fault that llhttp found in the body, at `rest` or, in some of its states, one byte
/// before it.
Parser::Found Parser::refuse_content(std::string_view rest) noexcept {
  using Place = ChunkLimits::Place;
  const Place place = chunks_.place();
  if (place == Place::data) return fail(Fault::chunk_data_end, {});
  for (int more = 0; more < 2; ++more) {
    const std::string_view line = chunks_.shown();
    const auto broken = place == Place::line ? diagnose_chunk_line(line) : diagnose_fields(line);
    if (broken)
      return fail(place == Place::line ? broken->fault : Fault::trailer_form, broken->shown);
    chunks_.count(rest.substr(0, 1));
  }
  return fail(place == Place::line ? Fault::chunk_size : Fault::trailer_forbidden, chunks_.shown());
}

Parser::Found Parser::parse_content(std::string_view bytes, std::size_t& used,
                                    std::string_view& data) noexcept {
  used = 0;
  data = {};
  while (refusal_.fault == Fault::none && used < bytes.size()) {
    const std::string_view window = bytes.substr(used, chunks_.window());
    data_ = {};
    stop_ = Stop::no;
    llhttp_resume(machine_in<llhttp_t>(machine_));
    const int error = llhttp_execute(machine_in<llhttp_t>(machine_), window.data(), window.size());
    const std::size_t at =
        error == HPE_OK ? window.size()
                        : static_cast<std::size_t>(
                              llhttp_get_error_pos(machine_in<llhttp_t>(machine_)) - window.data());
    used += at;
    chunks_.count(window.substr(0, at));
    data = data_;
    if (error == HPE_OK || error == HPE_PAUSED) {
      if (const Fault fault = judge_stop(); fault != Fault::none)
        static_cast<void>(
            fail(fault, chunks_.shown(), fault == Fault::body_limit ? chunks_.body_bytes() : 0));
      else if (stop_ == Stop::end)
        return Found::end;
    } else if (refusal_.fault == Fault::none) {
      static_cast<void>(refuse_content(window.substr(at)));
    }
    if (!data.empty()) return Found::data;
  }
  return refusal_.fault == Fault::none ? Found::nothing_yet : Found::fault;
}

Fault Parser::judge_stop() noexcept {
  switch (stop_) {
    case Stop::no:
      return chunks_.still_open();
    case Stop::chunk_line:
      return chunks_.line_complete(chunk_bytes_);
    case Stop::chunk_data:
      chunks_.data_complete();
      break;
    case Stop::end:
      break;
  }
  return Fault::none;
}

}  // namespace iotax::core
