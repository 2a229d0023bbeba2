// Transfers idle connections to another worker, and adopts those of others. Decides when the loop
// is paused. It must not know the other workers: the supervisor passes the connections on.
#pragma once

#include <utility>

#include "driver/env.h"
#include "driver/loop/acceptor.h"
#include "driver/loop/channel.h"
#include "driver/loop/closing.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/session_events.h"
#include "driver/loop/session_table.h"
#include "driver/proof.h"

namespace iotax::driver {

template <Env E>
class Handover {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed.
  Handover(LoopBase<E>& loop, SessionTable<E>& table, Closing<E>& closing, SessionEvents<E>& events,
           Acceptor<E>& acceptor, Channel<E>& channel) noexcept
      : loop_(loop),
        table_(table),
        closing_(closing),
        events_(events),
        acceptor_(acceptor),
        channel_(channel) {}

  /// Leave new connections and requests in the kernel, for another worker or until resume().
  void pause(const Lead& lead) {
    if (loop_.mode.paused || loop_.mode.stopping != Stopping::no) return;
    loop_.mode.paused = true;
    acceptor_.hold(lead);
    sync_idle(lead);
  }

  void resume(const Lead& lead) {
    if (!std::exchange(loop_.mode.paused, false)) return;
    retry_at_ = core::kNever;
    acceptor_.go_on(lead);
    sync_idle(lead);
  }

  /// The loop stops: read idle connections again, and accept nothing.
  void end(const Lead& lead) {
    if (std::exchange(loop_.mode.paused, false)) sync_idle(lead);
  }

  /// While paused: transfer as many idle connections as the channel to the supervisor takes now,
  /// and the others at due(). Those that began with a PROXY header are closed.
  void transfer_idle(const Lead& lead) {
    retry_at_ = core::kNever;
    if (!loop_.mode.paused) return;
    const bool all = table_.for_each(lead, [&](Session& s) {
      if (!SessionTable<E>::is_idle(s)) return true;
      if (s.link.endpoints.proxy) {  // the other worker would not know the client
        closing_.close(lead, s);
        return true;
      }
      table_.unwatch(lead, s);
      if (!channel_.report(Report::transferred, {}, s.link.wire.fd())) return false;
      table_.erase(lead, s);  // without shutdown(): another worker uses the connection
      return true;
    });
    if (!all || !channel_.report(Report::transfer_done)) retry_at_ = loop_.clock.now() + 1ms;
  }

  /// When to transfer the other connections; kNever: there are none.
  [[nodiscard]] core::Instant due() const noexcept { return retry_at_; }

 private:
  void sync_idle(const Lead& lead) {
    table_.for_each(lead, [&](Session& s) {
      if (SessionTable<E>::is_idle(s)) events_.sync(lead, s);
    });
  }

  LoopBase<E>& loop_;
  SessionTable<E>& table_;
  Closing<E>& closing_;
  SessionEvents<E>& events_;
  Acceptor<E>& acceptor_;
  Channel<E>& channel_;
  core::Instant retry_at_ = core::kNever;  // the channel was full
};

}  // namespace iotax::driver
