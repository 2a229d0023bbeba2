// The names of states and inputs, and the end of a process that broke its own order.
#include "core/transitions.h"

#include <cstdio>

#include "core/check.h"

namespace iotax::core {

std::string_view name_of(Peer peer) noexcept {
  switch (peer) {
    case Peer::idle:
      return "idle";
    case Peer::head:
      return "head";
    case Peer::body:
      return "body";
    case Peer::done:
      return "done";
    case Peer::closed:
      return "closed";
    case Peer::refused:
      return "refused";
  }
  return "";
}

std::string_view name_of(Saw saw) noexcept {
  switch (saw) {
    case Saw::begin:
      return "begin";
    case Saw::head:
      return "head";
    case Saw::data:
      return "data";
    case Saw::end:
      return "end";
    case Saw::next:
      return "next";
    case Saw::eof:
      return "eof";
    case Saw::fault:
      return "fault";
  }
  return "";
}

std::string_view name_of(Us us) noexcept {
  switch (us) {
    case Us::idle:
      return "idle";
    case Us::owed:
      return "owed";
    case Us::held:
      return "held";
    case Us::open:
      return "open";
    case Us::answered:
      return "answered";
    case Us::last:
      return "last";
    case Us::broken:
      return "broken";
  }
  return "";
}

std::string_view name_of(Did did) noexcept {
  switch (did) {
    case Did::take:
      return "take";
    case Did::inform:
      return "inform";
    case Did::hold:
      return "hold";
    case Did::head:
      return "head";
    case Did::data:
      return "data";
    case Did::finish:
      return "finish";
    case Did::answer:
      return "answer";
    case Did::refuse:
      return "refuse";
    case Did::abort:
      return "abort";
    case Did::reset:
      return "reset";
    case Did::next:
      return "next";
    case Did::close:
      return "close";
  }
  return "";
}

namespace {

[[noreturn]] void fail(std::string_view half, std::string_view from,
                       std::string_view input) noexcept {
  char what[96];
  std::snprintf(what, sizeof what, "%.*s: no row for %.*s in state %.*s",
                static_cast<int>(half.size()), half.data(), static_cast<int>(input.size()),
                input.data(), static_cast<int>(from.size()), from.data());
  check_failed(what, __FILE__, __LINE__);
}

}  // namespace

void refuse_order(Peer from, Saw saw) noexcept { fail("peer", name_of(from), name_of(saw)); }
void refuse_order(Us from, Did did) noexcept { fail("us", name_of(from), name_of(did)); }

}  // namespace iotax::core
