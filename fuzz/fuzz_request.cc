// Client bytes, split in some way, against the core with the reference application. Asserts that
// splits change neither requests, rejection nor responses; that responses are well-formed, one per
// complete request, and a rejection is the last; that every connection ends as time passes; that
// memory between turns stays within the limits, and near zero when idle; and the rules of the
// contract that CorePlay checks (order of events, progress, no output after a close).
// Input: client.h; a seed of 0 splits into single bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "client.h"
#include "core/connection.h"
#include "heap_meter.h"
#include "runner/answers.h"
#include "runner/core_play.h"
#include "runner/cuts.h"

namespace {

using namespace iotax;
using fuzz::die;

struct Setup {
  core::Limits limits;
  core::Policy policy;
  conformance::Calling calling = conformance::Calling::complete;
  bool eof = false;
};

Setup setup_of(const fuzz::ClientInput& input) {
  Setup setup;
  if (input.has(fuzz::kEarly)) {
    setup.calling = conformance::Calling::early;
    setup.policy.continue_when_accepted = false;
  }
  if (input.has(fuzz::kSmallLimits)) setup.limits = fuzz::small_limits();
  setup.eof = input.has(fuzz::kEof);
  return setup;
}

/// Lengths that favor single bytes and short pieces.
conformance::Cuts cuts_of(std::uint8_t seed, std::size_t bytes) {
  if (seed == 0) return conformance::single_octets(bytes);
  conformance::Cuts cuts;
  std::uint32_t state = seed;
  for (std::size_t at = 0; at < bytes;) {
    state = state * 1664525U + 1013904223U;
    const std::uint32_t draw = state >> 24U;
    at += draw < 128 ? 1 : draw % 61 + 1;
    if (at < bytes) cuts.push_back(at);
  }
  return cuts;
}

void check_answers(std::string_view raw, const conformance::Observed& run) {
  const auto answers = conformance::read_answers(run.output, run.methods, run.closed);
  if (!answers.error.empty()) die(raw, "output: " + answers.error, run);
  std::size_t served = 0;
  for (std::size_t i = 0; i < answers.finals.size(); ++i) {
    const auto& answer = answers.finals[i];
    const bool last = i + 1 == answers.finals.size();
    if (!answer.complete) die(raw, "a response is truncated", run);
    if (answer.status == 200) ++served;
    if (answer.status >= 300 && !(last && run.closed)) die(raw, "a rejection is not the end", run);
  }
  if (served != run.requests.size()) die(raw, "not one response for each completed request", run);
  if (answers.finals.size() > run.methods.size() + 1) die(raw, "more responses than requests", run);
}

conformance::Observed play(const Setup& setup, std::string_view raw,
                           const conformance::Cuts& cuts) {
  constexpr int kDeadlinesMax = 16;
  conformance::CorePlay play(setup.limits, setup.policy, setup.calling);
  for (const std::string_view piece : conformance::pieces(raw, 0, cuts)) {
    if (!piece.empty()) play.receive(piece);
  }
  if (setup.eof) play.eof();
  for (int i = 0; !play.closed(); ++i) {
    if (i == kDeadlinesMax || !play.pass_to_deadline()) die(raw, "never closes", play.observed());
  }
  if (!play.observed().violations.empty())
    die(raw, play.observed().violations.front(), play.observed());
  check_answers(raw, play.observed());
  return play.observed();
}

core::ServerResponse text_of(int status, bool close) {
  core::ServerResponse text;
  text.status = status;
  text.close = close;
  return text;
}

/// Replay without allocating anything itself, so that all memory on the heap is the core's.
void check_memory(const Setup& setup, std::string_view raw, const conformance::Cuts& cuts) {
  const core::Limits& limits = setup.limits;
  // The state, a head in a buffer that doubles, its fields, and one chunk or trailer line.
  const std::size_t at_work = 8192 + 4 * limits.head_bytes_max +
                              4 * limits.fields_max * sizeof(core::Field) +
                              2 * limits.trailer_bytes_max;
  constexpr std::size_t kIdleBytes = 2048;
  const auto pieces = conformance::pieces(raw, 0, cuts);
  const fuzz::HeapMeter meter;
  core::Connection connection(limits, setup.policy, core::Instant{});
  for (const std::string_view piece : pieces) {
    connection.receive(std::as_bytes(std::span(piece.data(), piece.size())));
    for (bool more = true; more;) {
      const core::Step step = connection.step();
      more = false;
      if (const auto* rejected = std::get_if<core::Rejected>(&step)) {
        if (rejected->status != 0) connection.reject(text_of(rejected->status, true));
      } else if (const auto* end = std::get_if<core::BodyEnd>(&step)) {
        connection.respond_instead(end->id, text_of(200, false));
        more = true;
      } else {
        more = std::holds_alternative<core::HeadEnd>(step) ||
               std::holds_alternative<core::BodyData>(step);
      }
      std::uint64_t sent = 0;
      for (const core::Slice& slice : connection.output()) sent += slice.bytes.size();
      connection.sent(sent);
    }
    const std::size_t held = meter.bytes();
    const std::size_t bound = connection.idle() ? kIdleBytes : at_work;
    if (held > bound) {
      std::fprintf(stderr, "\n%zu bytes are held, %s\n", held,
                   connection.idle() ? "when idle" : "at work");
      std::abort();
    }
    if (connection.closing() != core::Closing::no) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::client_input(data, size);
  if (!input) return 0;
  const Setup setup = setup_of(*input);
  const std::string_view raw = input->octets;
  const auto cuts = cuts_of(input->cut_seed, raw.size());
  const auto whole = play(setup, raw, {});
  const auto cut = play(setup, raw, cuts);
  const auto differs = conformance::difference(whole, cut);
  if (!differs.empty()) die(raw, differs, cut);
  check_memory(setup, raw, cuts);
  return 0;
}
