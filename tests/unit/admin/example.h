// A scoreboard whose words the test writes.
#pragma once

#include <cstdlib>
#include <string_view>

#include "admin/snapshot.h"
#include "driver/scoreboard/scoreboard.h"

namespace iotax {

using namespace std::chrono_literals;

struct Board {
  static constexpr unsigned kSlots = 4, kThreads = 2;
  static constexpr core::Instant kNow{1000s};

  /// A server with a supervisor that has just run.
  Board() {
    server().stamp.set(since(0s));
    server().started.set(core::Duration{2'000'000s}.count());
    server().process_id.set(700);
    server().workers_wanted.set(2);
  }

  [[nodiscard]] driver::Scoreboard scoreboard() const { return memory.scoreboard(); }
  [[nodiscard]] driver::ServerEntry& server() const { return there(scoreboard().server()); }
  [[nodiscard]] driver::WorkerGauges& gauges(unsigned slot) const {
    return there(scoreboard().gauges(slot));
  }
  [[nodiscard]] driver::ThreadCounters& counters(unsigned slot, unsigned thread) const {
    return there(scoreboard().counters(slot, thread));
  }
  /// A worker that has run `age` ago.
  void worker(unsigned slot, driver::WorkerState state, core::Duration age = 0s) const {
    driver::WorkerRecord& record = there(scoreboard().record(slot));
    record.state.set(static_cast<std::uint64_t>(state));
    record.process_id.set(800 + slot);
    record.started.set(core::Duration{2'000'010s}.count());
    gauges(slot).stamp.set(since(age));
    gauges(slot).queued_max.set(5);
    if (state == driver::WorkerState::ready) {
      server().has_served.set(1);
      scoreboard().worker(slot).serve(kThreads);
    }
    if (server().slots_used.get() <= slot) server().slots_used.set(slot + 1);
  }
  void runs(unsigned slot, unsigned thread, std::string_view line) const {
    driver::RequestLine text;
    text.assign(line);
    driver::RequestText id;
    id.assign("abc-1");
    scoreboard().call(slot, thread).begin(text, id, kNow - 1500ms);
  }
  static std::int64_t since(core::Duration age) { return (kNow - age).time_since_epoch().count(); }
  [[nodiscard]] admin::Snapshot snapshot() const {
    return admin::take_snapshot(scoreboard(), kNow, 2'000'060s);
  }

  driver::PrivateScoreboard memory{kThreads, kSlots, true};

 private:
  template <class T>
  static T& there(T* entry) {
    if (entry == nullptr) std::abort();
    return *entry;
  }
};

}  // namespace iotax
