// A worker with a thread that watches its calls, like the one on the Python side.
#pragma once

#include <utility>
#include <vector>

#include "support/fake_application.h"

namespace iotax::support {

template <driver::Env E = ScriptedEnv>
class WatchedRig : public Rig<E> {
 public:
  using Rig<E>::Rig;

  void run() {
    ScriptedSys::Thread watch =
        std::move(*this->sys.start_thread("watch", [this] { this->watch(); }));
    Rig<E>::run();
    watch.join();
    for (ScriptedSys::Thread& thread : started) thread.join();
  }

  std::vector<driver::WatchEvent> events;
  bool answers = true;    // false: the watch does not respond for calls
  bool can_start = true;  // false: no replacement of a lost thread can be started
  std::vector<ScriptedSys::Thread> started;

 private:
  static constexpr unsigned kWatch = 99;

  void watch() {
    while (auto event = this->worker->overdue().next_event()) {
      this->app.enter(kWatch);
      this->worker->overdue().app_lock_acquired();
      events.push_back(*event);
      if (event->kind == driver::WatchKind::overdue && answers) {
        (void)this->worker->overdue().expire(event->thread, event->word);
      }
      if (event->replacement >= 0) {
        const auto number = static_cast<unsigned>(event->replacement);
        if (!can_start) {
          this->worker->overdue().replacement_failed(event->thread, number);
          this->app.leave(kWatch);
          continue;
        }
        started.push_back(std::move(*this->sys.start_thread(
            "another", [this, number] { this->worker->run_thread(number); })));
      }
      this->app.leave(kWatch);
    }
  }
};

}  // namespace iotax::support
