// Accepts connections: when, how many, and which idle one closes to make room. It must not know
// what happens to an open connection.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "driver/env.h"
#include "driver/loop/closing.h"
#include "driver/loop/fifo.h"
#include "driver/loop/full_watch.h"
#include "driver/loop/loop_base.h"
#include "driver/loop/session_events.h"
#include "driver/loop/session_table.h"
#include "driver/proof.h"
#include "driver/scoreboard/accept_sharing.h"
#include "driver/session/intake.h"

namespace iotax::driver {

/// Who keeps the socket of a listener.
enum class ListenerOwner : std::uint8_t {
  server,  // closed when the server exits
  // Another process, which passed it (systemd). Clients may wait in its backlog until the next
  // server starts. Its options are not changed.
  other,
};

/// What the connections of a listener begin with.
enum class FirstBytes : std::uint8_t { request, proxy_header };

struct Listener : EventSource {
  Listener(int descriptor, std::string name, ListenerOwner kept_by,
           FirstBytes first = FirstBytes::request)
      : EventSource(Kind::listener),
        fd(descriptor),
        authority(std::move(name)),
        owner(kept_by),
        first_bytes(first) {}
  int fd;
  std::string authority;  // "127.0.0.1:8000", "unix:PATH"; for messages
  ListenerOwner owner;
  FirstBytes first_bytes;
  bool in_poller = false;
};

/// Owns the listeners. For the leader, except wants_room().
template <Env E>
class Acceptor {
 public:
  using Session = driver::Session<E>;

  /// All are borrowed. `ready`: the requests that wait for a thread.
  Acceptor(LoopBase<E>& loop, SessionTable<E>& table, Closing<E>& closing, SessionEvents<E>& events,
           StorageBudget& budget, const Fifo<Session*>& ready) noexcept
      : loop_(loop),
        table_(table),
        closing_(closing),
        events_(events),
        budget_(budget),
        ready_(ready),
        sharing_(loop.slot) {}

  /// Determine how many connections are allowed.
  void open() {
    const std::size_t limit = loop_.sys.descriptor_limit();
    const std::size_t descriptors_max = limit > 128 ? limit - 64 : 64;
    budget_.descriptors.set_most(descriptors_max);
    const std::size_t configured = loop_.config.connections_max;
    connections_max_ = configured != 0 ? configured : descriptors_max;
    if (WorkerGauges* const gauges = loop_.slot.gauges())
      gauges->connections_max.set(connections_max_);
  }

  /// Takes ownership of the descriptor.
  void add_listener(int fd, std::string authority, ListenerOwner owner,
                    FirstBytes first = FirstBytes::request) {
    loop_.sys.own(fd);
    listeners_.push_back(std::make_unique<Listener>(fd, std::move(authority), owner, first));
  }

  [[nodiscard]] std::span<const std::unique_ptr<Listener>> listeners() const noexcept {
    return listeners_;
  }

  /// Start to accept. Errors: those of the poller.
  [[nodiscard]] Result<void> listen() {
    for (const auto& listener : listeners_) {
      if (Result<void> added = watch(*listener); !added) return added;
    }
    threads_ = loop_.config.threads;
    if (!listeners_.empty()) sharing_.accepting(threads_);
    return {};
  }

  /// The poller reports connections in the backlog.
  void on_ready(const Lead& lead, Listener& listener) {
    if (loop_.mode.paused) return;  // an event of the turn in which the pause began
    for (std::size_t n = 0; n < kAcceptsPerTurn; ++n) {
      if (sharing_.leave(loop_.clock.now(), ready_.size())) {
        pause(listener, Sharing::kPause);
        return;
      }
      const bool full = !has_room();
      Session* const evicted = full ? make_room(lead) : nullptr;
      if (evicted == nullptr && !has_room()) {
        warn_full(FullWatch::What::waiting, "new clients wait until one of them is idle or closed");
        full_ = true;
        pause(listener, 1s);  // or until tick() finds room
        return;
      }
      switch (accept_one(lead, listener)) {
        case Accepting::took:
          if (evicted == nullptr) break;
          if (evicted->link.phase == Phase::open) {
            warn_full(FullWatch::What::evicting,
                      "each new connection closes the one that has been idle longest");
          }
          closing_.close(lead, *evicted);
          break;
        case Accepting::skipped:
          break;
        case Accepting::nothing:
          return;
        case Accepting::exhausted:
          log_refused(100ms);
          pause(listener, 100ms);
          return;
        case Accepting::failed:
          log_refused(10ms);
          pause(listener, 10ms);
          return;
      }
    }
  }

  /// Set the number of application threads. With zero, accept nothing.
  void set_threads(const Lead& /*lead*/, unsigned threads) {
    const bool had_some = threads_ != 0;
    threads_ = threads;
    if (!loop_.mode.paused && !listeners_.empty()) sharing_.accepting(threads);
    if (threads == 0) {
      unwatch_all();
    } else if (!had_some) {
      resume();
    }
  }

  /// Whether new clients wait until a connection is idle. Thread-safe.
  [[nodiscard]] bool wants_room() const noexcept { return full_.load(std::memory_order_relaxed); }

  // ---- for Handover and Draining

  /// Leave clients in the backlog until go_on().
  void hold(const Lead& /*lead*/) {
    unwatch_all();
    sharing_.accepting(0);
  }
  void go_on(const Lead& /*lead*/) {
    sharing_.accepting(threads_);
    resume();
  }

  /// Accept the clients whose handshake is complete or in progress, and no others: a client that
  /// connects between the last accept() and the close would be reset, not refused. Later clients of
  /// a socket that another process keeps wait in its backlog.
  void accept_pending(const Lead& lead) {
    for (const auto& listener : listeners_) {
      if (listener->owner == ListenerOwner::server)
        (void)loop_.sys.drop_new_connections(listener->fd);
    }
    (void)loop_.sys.poll({}, kHandshake);
    for (const auto& listener : listeners_) {
      std::size_t left = listener->owner == ListenerOwner::server ? SIZE_MAX : kBacklogMax;
      Accepting last = Accepting::took;
      while ((last == Accepting::took || last == Accepting::skipped) && left-- != 0) {
        last = accept_one(lead, *listener);
      }
    }
  }

  /// Close all listeners and publish that this worker does not accept.
  void stop(const Lead& /*lead*/) {
    unwatch_all();
    close();
    sharing_.accepting(0);
    resume_at_ = core::kNever;
  }
  /// Close the descriptors.
  void close() {
    for (const auto& listener : listeners_) loop_.sys.close(listener->fd);
    listeners_.clear();
  }

  /// Open a session for a connection from another worker. Takes ownership of the descriptor.
  void adopt(const Lead& lead, int fd) {
    const Result<SocketAddress> peer = loop_.sys.getpeername(fd);
    events_.sync(lead, table_.open(lead, Accepted{fd, peer ? *peer : SocketAddress{}}));
  }

  // ---- timers

  /// Immediate if a connection has closed meanwhile, since a client may use its room.
  [[nodiscard]] core::Instant due() const noexcept {
    if (resume_at_ == core::kNever) return resume_at_;
    return table_.has_erased() ? core::Instant{} : resume_at_;
  }
  [[nodiscard]] bool wants_tick() const noexcept {
    return table_.has_erased() || wants_room() || loop_.clock.now() >= resume_at_;
  }
  /// Resume when a pause is over or there is room again.
  void tick(const Lead& lead) {
    if (table_.take_erased()) [[unlikely]] {
      full_watch_.count(table_.size(), connections_max_);
      if (resume_at_ != core::kNever) resume();
    }
    if (wants_room()) [[unlikely]] {
      const bool found = has_room() || closing_.oldest_lingering(lead) != nullptr ||
                         table_.oldest_idle(lead) != nullptr;
      if (found) resume();
    }
    if (loop_.clock.now() >= resume_at_) resume();
  }

 private:
  static constexpr std::size_t kAcceptsPerTurn = 64;
  /// Time for handshakes in progress with nearby clients, such as load balancers.
  static constexpr core::Duration kHandshake = 2ms;
  /// How many clients accept_pending() takes where new ones arrive all the time: the longest
  /// backlog that Linux allows by default (net.core.somaxconn).
  static constexpr std::size_t kBacklogMax = 4096;

  enum class Accepting : std::uint8_t { took, skipped, nothing, exhausted, failed };

  /// Whether connections are below their limit and descriptors below theirs, which temporary files
  /// use too.
  [[nodiscard]] bool has_room() const noexcept {
    return table_.size() < connections_max_ && !budget_.descriptors.exhausted();
  }

  Accepting accept_one(const Lead& lead, Listener& listener) {
    const Result<Accepted> accepted = loop_.sys.accept(listener.fd);
    if (accepted) {
      // Own listeners pass the option on to their connections. Unix sockets do not have it.
      if (listener.owner == ListenerOwner::other) (void)loop_.sys.set_nodelay(accepted->fd);
      if (WorkerGauges* const gauges = loop_.slot.gauges()) gauges->accepted.add(1);
      Session& s = table_.open(lead, *accepted);
      if (listener.first_bytes == FirstBytes::proxy_header) [[unlikely]] {
        events_.expect_proxy_header(lead, s, listener.authority);
      } else {
        events_.sync(lead, s);
      }
      return Accepting::took;
    }
    accept_error_ = accepted.error();
    switch (accepted.error()) {
      case ECONNABORTED:  // the client disconnected while it waited, or its network failed
      case ECONNRESET:
      case ETIMEDOUT:
      case EPROTO:
      case ENETDOWN:
      case ENETUNREACH:
      case EHOSTDOWN:
      case EHOSTUNREACH:
      case EPERM:  // a firewall rule
        return Accepting::skipped;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return Accepting::exhausted;
      case EAGAIN:
#if EAGAIN != EWOULDBLOCK
      case EWOULDBLOCK:
#endif
      case EINTR:
        return Accepting::nothing;
      default:
        return Accepting::failed;  // the listener itself failed: the poller would report it forever
    }
  }

  /// Select the session to close for a new one: first one that lingers after its last response,
  /// then the one that has been idle for longest. Null: none can be closed.
  [[nodiscard]] Session* make_room(const Lead& lead) {
    if (Session* const s = closing_.oldest_lingering(lead)) {
      (void)s->link.wire.recv(loop_.received);  // unread input would make the close a reset
      return s;
    }
    for (std::size_t n = 0; n < kAcceptsPerTurn; ++n) {
      Session* const s = table_.oldest_idle(lead);
      if (s == nullptr) return nullptr;
      events_.receive(lead, *s);       // a request may have arrived; it is served
      if (has_room()) return nullptr;  // the client has closed it
      if (s->link.wire.is_open() && SessionTable<E>::is_idle(*s)) return s;
    }
    return nullptr;
  }

  [[nodiscard]] Result<void> watch(Listener& listener) {
    EventSource* source = &listener;
    Result<void> added = loop_.poller.add(listener.fd, source, Interest{true, false});
    listener.in_poller = bool(added);
    return added;
  }
  /// Leave clients in the backlog until the listener is watched again.
  void unwatch(Listener& listener) {
    if (std::exchange(listener.in_poller, false)) loop_.poller.remove(listener.fd);
  }
  void unwatch_all() {
    for (const auto& listener : listeners_) unwatch(*listener);
  }

  void pause(Listener& listener, core::Duration pause) {
    unwatch(listener);
    resume_at_ = std::min(resume_at_, loop_.clock.now() + pause);
  }
  void resume() {
    resume_at_ = core::kNever;
    full_ = false;
    if (loop_.mode.paused || threads_ == 0) return;
    for (const auto& listener : listeners_) {
      if (listener->in_poller || watch(*listener)) continue;
      resume_at_ = loop_.clock.now() + 100ms;
    }
  }

  /// Log that the limit of connections is reached, and the cause, unless that was logged recently.
  void warn_full(FullWatch::What what, std::string_view consequence) {
    if (!full_watch_.say(what, loop_.clock.now())) return;
    const std::size_t configured = loop_.config.connections_max;
    const std::size_t open = table_.size();
    std::string text = "All " + std::to_string(connections_max_) + " connections are in use (";
    if (open < connections_max_) {
      text = "All file descriptors are in use, with " + std::to_string(open) + " connections and " +
             std::to_string(budget_.descriptors.used() - open) +
             " body files (the limit of open files is " +
             std::to_string(loop_.sys.descriptor_limit());
    } else if (configured != 0) {
      text += "--max-connections " + std::to_string(configured);
    } else {
      text += "--max-connections is not set: the limit of open files, " +
              std::to_string(loop_.sys.descriptor_limit()) + ", allows no more";
    }
    loop_.log.server(Level::warning, text + "): " + std::string(consequence));
  }

  /// Log why accept() fails.
  void log_refused(core::Duration pause) {
    if (!full_watch_.say(FullWatch::What::refused, loop_.clock.now())) return;
    loop_.log.server(
        Level::error,
        "Cannot accept connections: " + std::generic_category().message(accept_error_) + "; " +
            std::to_string(table_.size()) + " are open; retrying every " +
            std::to_string(pause / 1ms) + " ms");
  }

  LoopBase<E>& loop_;
  SessionTable<E>& table_;
  Closing<E>& closing_;
  SessionEvents<E>& events_;
  StorageBudget& budget_;
  const Fifo<Session*>& ready_;
  Sharing sharing_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  FullWatch full_watch_;
  std::atomic<bool> full_{false};  // accepting is paused until a connection can make room
  std::size_t connections_max_ = 0;
  unsigned threads_ = 1;
  int accept_error_ = 0;  // errno of the last accept() that failed
  core::Instant resume_at_ = core::kNever;
};

}  // namespace iotax::driver
