// The parts of a loop on the scripted system, each based on those before it, without a loop or a
// worker around them. A test uses those up to the one under test.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "driver/loop/acceptor.h"
#include "driver/loop/channel.h"
#include "driver/loop/closing.h"
#include "driver/loop/draining.h"
#include "driver/loop/fifo.h"
#include "driver/loop/handover.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/request_queue.h"
#include "driver/loop/session_events.h"
#include "driver/loop/session_table.h"
#include "driver/scoreboard/scoreboard.h"
#include "driver/session/intake.h"
#include "driver/session/sender.h"
#include "driver/threads/leadership.h"
#include "support/fake_application.h"
#include "support/scripted_env.h"
#include "support/scripted_worker.h"
#include "support/session_response.h"

namespace iotax::support {

struct LoopParts {
  using E = ScriptedEnv;
  using Session = driver::Session<E>;

  explicit LoopParts(driver::Config settings = {})
      : config(std::move(settings)), listener(sys.listen()) {
    base.clock.begin();
    if (!base.poller.open(sys)) std::abort();
    acceptor.open();
    acceptor.add_listener(listener, "127.0.0.1:8000", driver::ListenerOwner::server);
  }
  ~LoopParts() {
    table.begin_end(lead);
    table.for_each(lead, [&](Session& s) { closing.close(lead, s); });
    acceptor.close();
    channel.close();
    table.end_turn(lead);
  }
  LoopParts(const LoopParts&) = delete;

  /// Open a connection of a client with the session that serves it; the poller watches it.
  std::pair<ScriptedClient, Session*> connect() {
    ScriptedClient client = sys.connect(listener);
    const driver::Result<driver::Accepted> accepted = sys.accept(listener);
    if (!accepted) std::abort();
    Session& s = table.open(lead, *accepted);
    events.sync(lead, s);
    return {client, &s};
  }

  /// Let time pass, in steps in which the leader waits.
  void pass(core::Duration time) {
    const core::Instant end = sys.now() + time;
    while (sys.now() < end) {
      sys.advance(base.clock.wait_until(end, false));
      base.clock.read();
    }
  }

  /// Poll once and handle events of sessions and clients in the backlog. Returns their number.
  std::size_t turn() {
    base.clock.read();
    std::array<driver::Event, 64> found;
    const driver::Result<std::size_t> n = base.poller.wait(found, core::Duration::zero());
    if (!n) return 0;
    for (const driver::Event& event : std::span(found).first(*n)) {
      auto* source = static_cast<driver::EventSource*>(event.token);
      if (source->kind == driver::EventSource::Kind::session) {
        events.on_event(lead, *static_cast<Session*>(source), event);
      } else if (source->kind == driver::EventSource::Kind::listener) {
        acceptor.on_ready(lead, *static_cast<driver::Listener*>(source));
      }
    }
    base.timers.expire(base.clock.now(), [&](driver::TimerEntry& entry) {
      events.on_timer(lead, static_cast<Session&>(entry));
    });
    table.end_turn(lead);
    return *n;
  }

  /// Send the response of the application to the request of `s`, which was ready.
  void respond(Session& s, std::string_view body) {
    write_response(s, body);
    requests.completed(lead, s);
  }

  ScriptedSys sys;
  driver::Config config;
  RecordingLog log;
  FakeApplication app{sys};
  driver::PrivateScoreboard scoreboard{1};
  driver::Slot slot{scoreboard.scoreboard(), 0};
  int listener;
  driver::Leadership<E> leadership;
  driver::Lead lead = leadership.begin(0);
  driver::LoopBase<E> base{sys, config, log, slot};
  driver::Channel<E> channel{sys};
  driver::Intake<E> intake{sys, config, app, log};
  driver::Sender<E> sender{sys, config, intake.budget()};
  driver::Fifo<Session*> ready;
  driver::SessionTable<E> table{base, intake};
  driver::Closing<E> closing{base, table};
  driver::SessionEvents<E> events{base, table, closing, intake, sender, ready};
  driver::RequestQueue<E> requests{base, table, events, intake, sender, ready};
  driver::Acceptor<E> acceptor{base, table, closing, events, intake.budget(), ready};
  driver::Handover<E> handover{base, table, closing, events, acceptor, channel};
  driver::Draining<E> draining{base, table, closing, events, acceptor, handover};
};

}  // namespace iotax::support
