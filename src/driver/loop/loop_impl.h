// The member functions of Loop (loop.h), in the order of a turn: setting up, network in, network
// out, timers, stopping.
#pragma once

#include "driver/endpoints.h"
#include "driver/loop/loop.h"

namespace iotax::driver {

// ---- setting up

template <Env E>
Result<void> Loop<E>::open(int wakeup_fd) {
  now_ = sys_.now();
  const std::size_t limit = sys_.descriptor_limit();
  const std::size_t descriptors_max = limit > 128 ? limit - 64 : 64;
  intake_.budget().descriptors.set_most(descriptors_max);
  connections_max_ = config_.connections_max != 0 ? config_.connections_max : descriptors_max;
  if (Result<void> opened = poller_.open(sys_); !opened) return opened;
  bell_.fd = wakeup_fd;
  return poller_.add(wakeup_fd, &bell_, Interest{true, false});
}

template <Env E>
void Loop<E>::add_listener(int fd, std::string authority) {
  sys_.own(fd);
  listeners_.push_back(std::make_unique<Listener>(fd, std::move(authority)));
}

template <Env E>
void Loop<E>::add_channel(int fd) {
  sys_.own(fd);
  channel_.open(fd);
}

template <Env E>
Result<void> Loop<E>::listen() {
  if (channel_.fd() >= 0) {
    EventSource* source = &channel_;
    if (Result<void> added = poller_.add(channel_.fd(), source, Interest{true, false}); !added) {
      return added;
    }
  }
  for (const auto& listener : listeners_) {
    EventSource* source = listener.get();
    if (Result<void> added = poller_.add(listener->fd, source, Interest{true, false}); !added) {
      return added;
    }
    listener->in_poller = true;
  }
  set_threads(config_.threads);
  return {};
}

// ---- network in

template <Env E>
void Loop<E>::process(const Lead& lead, std::span<const Event> events) {
  look_at_clock();
  dispatch(lead, events);
  // now_ may be much later than the look at the poller that gave these events, and what arrived in
  // between is in time.
  if (timers_.next() <= now_) look_for_input(lead);
  run_timers(lead);
  doomed_.clear();
}

template <Env E>
void Loop<E>::look_at_clock() {
  now_ = sys_.now();
  const core::Instant planned = wakes_at_.load(std::memory_order_relaxed);
  if (now_ - RunningTime::kSlack > planned) [[unlikely]] {
    const core::Duration frozen = now_ - planned;
    if (sys_.notice_freeze(planned)) {
      now_ = sys_.now();
      sharing_.leave_out(sys_.left_out());
      if (frozen >= kToldFreeze) {
        log_.server(Level::info, "This process did not run for " + std::to_string(frozen / 1s) +
                                     " s (stopped, frozen or starved); no deadline counts them");
      }
    }
  }
  wakes_at_.store(now_ + kLongestTurn, std::memory_order_relaxed);
}

/// All that has arrived by now_. Each descriptor that is ready is given out once in so many looks.
template <Env E>
void Loop<E>::look_for_input(const Lead& lead) {
  std::array<Event, 256> events;
  const std::size_t looks = connections_ / events.size() + 2;
  for (std::size_t n = 0; n < looks; ++n) {
    const Result<std::size_t> found = poller_.wait(events, core::Duration::zero());
    if (!found) return;
    dispatch(lead, std::span(events).first(*found));
    if (*found < events.size()) return;
  }
}

template <Env E>
void Loop<E>::dispatch(const Lead& lead, std::span<const Event> events) {
  for (const Event& event : events) {
    auto* source = static_cast<EventSource*>(event.token);
    switch (source->kind) {
      case EventSource::Kind::session:
        on_session(lead, *static_cast<Session*>(source), event);
        break;
      case EventSource::Kind::listener:
        on_listener(lead, *static_cast<Listener*>(source));
        break;
      case EventSource::Kind::wakeup:
        on_wakeup();
        break;
      case EventSource::Kind::channel:
        on_channel();
        break;
    }
  }
}

template <Env E>
void Loop<E>::on_wakeup() {
  std::array<std::byte, 256> bytes;
  for (;;) {
    const Result<std::size_t> got = sys_.read(bell_.fd, bytes);
    if (!got || *got == 0) return;
    for (const std::byte b : std::span(bytes).first(*got)) {
      if (b != std::byte{0})
        signals_ = true;  // Python writes the signal's number; our own wake-ups write 0
    }
    if (*got < bytes.size()) return;
  }
}

template <Env E>
void Loop<E>::on_channel() {
  while (const auto received = channel_.next()) on_order(*received);
}

template <Env E>
void Loop<E>::on_order(const typename Channel<E>::Received& received) {
  switch (received.order) {
    case Order::retire:
      ordered_ = std::max(ordered_, Stop::retire);
      break;
    case Order::drain:
      ordered_ = std::max(ordered_, Stop::drain);
      break;
    case Order::prompt:
      ordered_ = std::max(ordered_, Stop::prompt);
      break;
    case Order::now:
      ordered_ = std::max(ordered_, Stop::now);
      break;
    case Order::hold:
      hold();
      break;
    case Order::go_on:
      go_on();
      break;
    case Order::pass:
      pass_idle();
      break;
    case Order::adopt:
      adopt(received.attached);
      return;
    case Order::reopen:
      log_.reopen();
      break;
    case Order::gone:
      poller_.remove(channel_.fd());
      channel_.close();
      ordered_ = std::max(ordered_, Stop::prompt);
      break;
  }
  if (received.attached >= 0) sys_.close(received.attached);
}

template <Env E>
void Loop<E>::on_listener(const Lead& lead, Listener& listener) {
  if (holding_) return;  // an event of the turn in which the hold began
  for (std::size_t n = 0; n < kAcceptsPerTurn; ++n) {
    if (sharing_.leave(now_, ready_.size())) {
      pause_accepting(listener, Sharing::kPause);
      return;
    }
    const bool full = !room_for_connection();
    Session* const leaves = full ? make_room(lead) : nullptr;
    if (leaves == nullptr && !room_for_connection()) {
      say_full(FullWatch::What::waiting, "new clients wait until one of them is idle or closed");
      full_ = true;
      pause_accepting(listener, 1s);  // or until look_for_room() finds some
      return;
    }
    switch (accept_one(listener)) {
      case Accepting::took:
        if (leaves == nullptr) break;
        if (leaves->phase == Phase::open) {
          say_full(FullWatch::What::evicting,
                   "the one that has been idle for longest is closed for each new client");
        }
        close(*leaves);
        break;
      case Accepting::skipped:
        break;
      case Accepting::nothing:
        return;
      case Accepting::exhausted:
        say_refused(100ms);
        pause_accepting(listener, 100ms);
        return;
      case Accepting::failed:
        say_refused(10ms);
        pause_accepting(listener, 10ms);
        return;
    }
  }
}

/// Neither the limit of connections is reached nor that of descriptors, with which temporary files
/// count as well.
template <Env E>
bool Loop<E>::room_for_connection() const noexcept {
  return connections_ < connections_max_ && !intake_.budget().descriptors.exhausted();
}

template <Env E>
auto Loop<E>::accept_one(Listener& listener) -> Accepting {
  const Result<Accepted> accepted = sys_.accept(listener.fd);
  if (accepted) {
    open_session(*accepted);
    return Accepting::took;
  }
  accept_error_ = accepted.error();
  switch (accepted.error()) {
    case ECONNABORTED:  // the client left while it waited, or its network did: the next one may be
                        // fine
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
      return Accepting::nothing;  // that was all
    default:
      return Accepting::failed;  // the listener itself: it would be ready for ever
  }
}

/// For when there are too many connections: the one that is to be closed for a new one. First those
/// that have their last answer, then the one that has been idle for longest. Null: none can go.
template <Env E>
auto Loop<E>::make_room(const Lead& lead) -> Session* {
  if (Session* const s = lingering_.oldest()) {
    (void)sys_.recv(s->fd, scratch_);  // what lies unread would make the close a reset
    return s;
  }
  for (std::size_t n = 0; n < kAcceptsPerTurn; ++n) {
    Session* const s = oldest_idle();
    if (s == nullptr) return nullptr;
    receive(lead, *s);                          // a request may have arrived: it is served
    if (room_for_connection()) return nullptr;  // it has left by itself
    if (s->fd >= 0 && is_idle(*s)) return s;
  }
  return nullptr;
}

/// The idle connection that has been so for longest; null: none is idle. Takes constant time on
/// average: a session that is not idle is taken out, and put back by who finds it idle again; one
/// that a thread has is moved to the end, and to its place if the call took long.
template <Env E>
auto Loop<E>::oldest_idle() -> Session* {
  static constexpr core::Duration kLongCall = 100ms;
  Session* last = idle_.youngest();
  bool moved = false;  // an idle one, perhaps behind `last`
  while (Session* const s = idle_.oldest()) {
    const bool at_end = s == last;
    if (s->owner.load(std::memory_order_acquire) != Owner::loop) {
      idle_.renew(*s, now_);
    } else if (!is_idle(*s)) {
      idle_.remove(*s);
    } else if (s->machine.idle_since() > s->listed_at + kLongCall) {
      idle_.insert(*s, s->machine.idle_since());
      moved = true;
    } else {
      return s;
    }
    if (!at_end) continue;
    if (!std::exchange(moved, false)) return nullptr;
    last = idle_.youngest();
  }
  return nullptr;
}

/// Accepting pauses because of the limit: go on if a connection can make room by now.
template <Env E>
void Loop<E>::look_for_room() {
  if (room_for_connection() || lingering_.oldest() != nullptr || oldest_idle() != nullptr) {
    full_ = false;
    resume_accepting();
  }
}

/// Tell people that the limit of connections is reached, and by what, if they do not know.
template <Env E>
void Loop<E>::say_full(FullWatch::What what, std::string_view consequence) {
  if (!full_watch_.say(what, now_)) return;
  std::string text = "All " + std::to_string(connections_max_) + " connections are in use (";
  if (connections_ < connections_max_) {
    text =
        "All descriptors are in use, with " + std::to_string(connections_) + " connections and " +
        std::to_string(intake_.budget().descriptors.used() - connections_) +
        " files of bodies (the limit of open files is " + std::to_string(sys_.descriptor_limit());
  } else if (config_.connections_max != 0) {
    text += "--max-connections " + std::to_string(config_.connections_max);
  } else {
    text += "--max-connections is not set: the limit of open files, " +
            std::to_string(sys_.descriptor_limit()) + ", allows no more";
  }
  log_.server(Level::warning, text + "): " + std::string(consequence));
}

/// Tell people why accept() fails.
template <Env E>
void Loop<E>::say_refused(core::Duration pause) {
  if (!full_watch_.say(FullWatch::What::refused, now_)) return;
  log_.server(Level::error,
              "No connection can be accepted: " + std::generic_category().message(accept_error_) +
                  "; " + std::to_string(connections_) + " are open. Tried again every " +
                  std::to_string(pause / 1ms) + " ms");
}

template <Env E>
void Loop<E>::open_session(const Accepted& accepted) {
  intake_.budget().descriptors.add();
  const Result<SocketAddress> local = sys_.getsockname(accepted.fd);
  auto made = std::make_unique<Session>(accepted.fd,
                                        peer_of(accepted.peer, local ? *local : SocketAddress{}),
                                        intake_.limits(), intake_.policy(), now_);
  Session& s = *made.release();  // owned by the list from here; close() takes it out again
  s.next = sessions_;
  if (sessions_ != nullptr) sessions_->previous = &s;
  sessions_ = &s;
  ++connections_;
  settle(s);
}

template <Env E>
void Loop<E>::on_session(const Lead& lead, Session& s, const Event& event) {
  if (s.fd < 0) return;  // closed earlier in this turn
  if (s.owner.load(std::memory_order_acquire) != Owner::loop) {
    if (on_event_while_lent(s, event)) return;
  }
  if (event.writable) {
    drain(lead, s);
    // It may have gone, or be lent for the request that was behind the answer.
    if (s.fd < 0 || s.owner.load(std::memory_order_relaxed) != Owner::loop) return;
  }
  if (!event.readable && !event.hangup && !event.broken) return;
  if (!event.broken && waits_for_reader(s)) {
    settle(s);  // it has been read until now
    return;
  }
  if (is_held(s)) {
    settle(s);  // a late thread gave it back without a word
    return;
  }
  if (s.phase != Phase::open) {
    discard(s);
  } else if (s.cut != Cut::no) {
    close(s);  // an error or a hang-up while its last answer was on its way
  } else {
    receive(lead, s);
  }
}

/// True: dealt with. False: the session came back meanwhile, and the event is the loop's to handle.
template <Env E>
bool Loop<E>::on_event_while_lent(Session& s, const Event& event) {
  if (event.broken) s.gone.store(true, std::memory_order_relaxed);
  if (event.hangup) s.peer_finished.store(true, std::memory_order_relaxed);
  const bool writing = s.interest.write;
  if (event.broken) {
    if (writing) s.outbox->clear();
  } else if (writing && event.writable) {
    drain_while_lent(s);
  }
  if (!event.readable && !event.hangup && !event.broken) return true;
  // Silence it. Taking it out, since an error and a hang-up cannot be masked; what waits to be
  // written stays watched.
  if (writing && !event.broken && s.backlogged()) {
    register_as(s, Interest{false, true});
  } else {
    deregister(s);
  }
  Owner expected = Owner::lent;
  if (s.owner.compare_exchange_strong(expected, Owner::surprised, std::memory_order_acq_rel)) {
    return true;
  }
  if (expected == Owner::surprised) return true;
  return false;
}

template <Env E>
void Loop<E>::receive(const Lead& lead, Session& s) {
  const Result<std::size_t> got = sys_.recv(s.fd, scratch_);
  if (!got) {
    if (got.error() == EAGAIN || got.error() == EWOULDBLOCK) {
      settle(s);  // silenced while it was lent: the late thread read it and gave it back meanwhile
      return;
    }
    s.gone.store(true, std::memory_order_relaxed);
    close(s);
    return;
  }
  s.machine.on_time(now_);
  if (*got == 0) {
    s.peer_finished.store(true, std::memory_order_relaxed);
    s.machine.receive_eof();
  } else {
    s.machine.receive(std::span(scratch_).first(*got));
  }
  step(lead, s);
}

/// Let the machine of `s` go on, and do what follows. `s` belongs to the loop.
template <Env E>
void Loop<E>::step(const Lead& lead, Session& s) {
  if (intake_.advance(s, now_) == Progress::ready) {
    // A session that the poller does not watch for input is silenced from the start: the way back
    // has to register it.
    const bool heard = s.in_poller && s.interest.read;
    s.owner.store(heard ? Owner::lent : Owner::surprised, std::memory_order_relaxed);
    // A late thread gives it back at rest and sets no timer: the one that runs must not be later
    // than the end of that rest.
    const core::Duration rest = config_.limits.keep_alive;
    if (rest > core::Duration::zero() && s.deadline() > now_ + rest) timers_.set(s, now_ + rest);
    idle_.renew(s, now_);
    ready_.push(&s);
  } else {
    outgoing_.send_output(lead, s, now_);
    settle(s);
  }
}

template <Env E>
void Loop<E>::turn_away(Session& s) {
  intake_.answer(s, 503, "Too many requests are waiting; try again shortly.", "--max-queued");
  answered_.push_back(&s);
}

template <Env E>
void Loop<E>::refuse_unstarted(Session& s) {
  intake_.answer(s, 503, "This request could not be started in time; try again shortly.",
                 "--request-timeout");
  answered(s);
}

template <Env E>
void Loop<E>::refuse_hopeless(Session& s) {
  intake_.answer(s, 503, "No thread is left to run this request; try again shortly.",
                 "--request-timeout");
  answered_.push_back(&s);
}

template <Env E>
bool Loop<E>::admit(Session& s, core::Instant now) {
  const core::Duration waited = now - s.ready_at;
  const bool left = s.gone.load(std::memory_order_relaxed) ||
                    (waited > 1s && s.peer_finished.load(std::memory_order_relaxed));
  if (left) {
    s.gone.store(true, std::memory_order_relaxed);
    intake_.log_access(s, now);
    return false;
  }
  if (config_.queue_timeout > core::Duration::zero() && waited > config_.queue_timeout) {
    intake_.answer(s, 503, "This request has waited too long for its turn; try again shortly.",
                   "--queue-timeout");
    return false;
  }
  return true;
}

template <Env E>
void Loop<E>::set_threads(unsigned threads) {
  const bool before = threads_ != 0;
  threads_ = threads;
  if (!holding_ && !listeners_.empty()) sharing_.accepting(threads);
  if (threads == 0) {
    for (const auto& listener : listeners_) ignore(*listener);
  } else if (!before) {
    resume_accepting();
  }
}

/// Read away what comes behind the last answer.
template <Env E>
void Loop<E>::discard(Session& s) {
  const Result<std::size_t> got = sys_.recv(s.fd, scratch_);
  if (got && *got > 0) {
    if (s.phase == Phase::lingering) s.phase_idle = now_ + config_.limits.linger_idle;
    set_timer(s);
    return;
  }
  if (!got && (got.error() == EAGAIN || got.error() == EWOULDBLOCK)) return;
  if (s.phase == Phase::resetting) {
    finish_reset(s);
  } else {
    close(s);
  }
}

// ---- network out

template <Env E>
void Loop<E>::flush(const Lead& lead) {
  for (Session* s : answered_) {
    outgoing_.send_output(lead, *s, now_);
    give_back(lead, *s);
  }
  answered_.clear();
  // After the others: a session whose last answer is complete by now has sent all of them in one.
  for (Session* s : behind_) {
    outgoing_.send_earlier(lead, *s, now_);
    const bool lent = s->owner.load(std::memory_order_relaxed) != Owner::loop;
    if (lent && s->backlogged() && s->outbox->take_began()) watch_writable(*s);
  }
  behind_.clear();
  if (wants_room()) [[unlikely]]
    look_for_room();
  doomed_.clear();
}

/// Nothing but a time-out is to be seen to: settle() would find all as it is.
template <Env E>
bool Loop<E>::at_rest(const Session& s) const noexcept {
  return s.machine.idle() && !s.gone.load(std::memory_order_relaxed) && s.outbox.get() == nullptr &&
         s.phase == Phase::open && s.in_poller && s.interest.read && !s.interest.write && !holding_;
}

/// At rest a connection holds no memory.
template <Env E>
void Loop<E>::release_outbox(const Lead& lead, Session& s) noexcept {
  if (s.outbox.get() == nullptr || s.backlogged() || !s.machine.idle()) return;
  s.outbox.release(lead);
}

/// The session is the loop's again, in whatever thread its request ran.
template <Env E>
void Loop<E>::give_back(const Lead& lead, Session& s) {
  IOTAX_CHECK(s.owner.load(std::memory_order_relaxed) != Owner::loop);
  s.write_wanted = false;
  s.owner.store(Owner::loop, std::memory_order_relaxed);
  release_outbox(lead, s);
  if (at_rest(s)) [[likely]] {
    s.hold_clock(false, now_);
    set_timer(s);
    return;
  }
  settle(s);  // also after a surprise: it registers what is not
  if (s.fd < 0 || s.phase != Phase::open || s.backlogged() || s.machine.idle()) return;
  s.machine.on_time(now_);
  step(lead, s);  // what came behind the request meanwhile
}

template <Env E>
void Loop<E>::take_back(const Lead& lead, Session& s) {
  outgoing_.send_output(lead, s, now_);
  give_back(lead, s);
  if (closing_idle_) close_if_idle(lead, s);  // its head was out before the stop
}

template <Env E>
void Loop<E>::break_off(const Lead& lead, Session& s, Cut how, core::Duration age) {
  if (how == Cut::complete) {
    take_back(lead, s);
    return;
  }
  s.still_read = !s.came_back;
  s.write_wanted = false;
  outgoing_.send_earlier(lead, s, now_);
  const std::string option = " for " + std::to_string(age / 1ms) + " ms (--request-timeout)";
  if (how == Cut::unanswered) {
    const core::Bytes answer =
        intake_.answer_beside(s, 504, "The application did not answer this request in time.",
                              "the application gave no answer" + option);
    outgoing_.send_beside(lead, s, std::as_bytes(std::span(answer.text())), now_);
  } else {
    intake_.warn(s, s.status, "broken off: the application gave nothing" + option, s.line.view());
    intake_.log_access(s, now_);
  }
  s.cut = how;
  s.owner.store(Owner::loop, std::memory_order_relaxed);
  settle(s);
}

template <Env E>
void Loop<E>::release(Session& s) {
  s.came_back = true;
  s.still_read = false;
  if (s.cut == Cut::no || s.fd >= 0) return;  // not broken off yet, or not closed
  std::erase_if(held_, [&](const std::unique_ptr<Session>& held) { return held.get() == &s; });
}

template <Env E>
void Loop<E>::watch_writable(Session& s) {
  const bool silenced = s.owner.load(std::memory_order_relaxed) == Owner::surprised;
  register_as(s, Interest{!silenced, true});
  timers_.set(s, now_ + 1s);
}

template <Env E>
void Loop<E>::advance_behind(const Lead& lead, Session& s) {
  s.body.reset();
  s.hold_clock(false, now_);
  if (s.earlier.bytes(lead).size() > kEarlierBytesMax) outgoing_.send_output(lead, s, now_);
  // What is behind a backlog waits until the reader has caught up.
  const bool looks_behind =
      !s.machine.idle() && !s.backlogged() && !s.gone.load(std::memory_order_relaxed);
  if (looks_behind) s.machine.on_time(now_);  // what has waited for its turn as well begins now
  if (!looks_behind || intake_.advance(s, now_) != Progress::ready) {
    answered_.push_back(&s);
    return;
  }
  if (s.earlier.empty(lead)) behind_.push_back(&s);
  outgoing_.set_aside(lead, s);
  ready_.push_front(&s);
}

template <Env E>
void Loop<E>::drain_while_lent(Session& s) {
  switch (s.outbox->drain(kDrainBytesPerTurn, now_)) {
    case Drained::broken:
      s.gone.store(true, std::memory_order_relaxed);
      s.outbox->clear();
      [[fallthrough]];
    case Drained::empty:
      if (s.interest.read) {
        register_as(s, Interest{true, false});
      } else {
        deregister(s);
      }
      break;
    case Drained::blocked:
    case Drained::more:
      break;
  }
}

template <Env E>
void Loop<E>::drain(const Lead& lead, Session& s) {
  if (!s.backlogged()) {
    settle(s);
    return;
  }
  switch (s.outbox->drain(kDrainBytesPerTurn, now_)) {
    case Drained::broken:
      break_off_now(s);
      return;
    case Drained::empty:
      if (s.phase == Phase::open && closing_of(s) == core::Closing::no) {
        release_outbox(lead, s);
        s.hold_clock(false, now_);
        s.machine.on_time(now_);
        step(lead, s);  // what was pipelined behind the answer
        return;
      }
      break;
    case Drained::blocked:
    case Drained::more:
      break;
  }
  settle(s);
}

/// Answers of `s` wait for its reader, and the next request waits until they have gone out: a
/// client that asks and does not take gets no further call of the application. The rest of content
/// that is under way is taken, since its sender may be the same thread as the reader.
template <Env E>
bool Loop<E>::waits_for_reader(const Session& s) noexcept {
  return s.phase == Phase::open && s.backlogged() && !s.machine.reads_content();
}

/// What is to become of the connection when all is sent.
template <Env E>
core::Closing Loop<E>::closing_of(const Session& s) noexcept {
  switch (s.cut) {
    case Cut::unanswered:
      return core::Closing::after_flush;
    case Cut::answered:
      return core::Closing::reset;
    case Cut::no:
    case Cut::complete:
      break;
  }
  return s.machine.closing();
}

/// Bring registration, phase and timer of `s` in line with its machine and its output. `s` belongs
/// to the loop.
template <Env E>
void Loop<E>::settle(Session& s) {
  IOTAX_CHECK(s.owner.load(std::memory_order_relaxed) == Owner::loop);
  if (s.gone.load(std::memory_order_relaxed)) {
    end_gone(s);
    return;
  }
  const bool writing = s.backlogged();
  const bool held = is_held(s);
  if (s.cut == Cut::no) s.hold_clock(writing || held, now_);
  if (!writing && s.phase == Phase::open && closing_of(s) != core::Closing::no) {
    begin_closing(s);
    if (s.fd < 0) return;
  }
  // What a peer sends while a reset is awaited is not read: its end would be there for ever.
  const bool reading =
      s.phase == Phase::lingering || (s.phase == Phase::open && s.cut == Cut::no &&
                                      s.machine.wants_input() && !held && !waits_for_reader(s));
  register_as(s, Interest{reading, writing});
  if (s.gone.load(std::memory_order_relaxed)) {
    end_gone(s);
    return;
  }
  const bool idle = is_idle(s);
  if (idle && s.in_list == nullptr) idle_.renew(s, now_);
  set_timer(s);
  if (!idle && s.phase == Phase::open && s.deadline() != core::kNever) {
    timed_until_ = std::max(timed_until_, s.deadline());
  }
}

template <Env E>
void Loop<E>::begin_closing(Session& s) {
  const core::Limits& limits = config_.limits;
  if (closing_of(s) == core::Closing::reset) {
    s.phase = Phase::resetting;
    s.phase_ends = now_ + 1s;
    finish_reset(s);
    return;
  }
  // Also where the peer has finished: what it sent before is read away first, else closing resets.
  (void)sys_.shutdown(s.fd, SHUT_WR);
  s.phase = Phase::lingering;
  lingering_.renew(s, now_);
  s.phase_idle = now_ + limits.linger_idle;
  s.phase_ends = now_ + limits.linger_total;
  if (stopping_ != Stopping::no) linger_less(s);
}

/// A stop does not wait for those who have their last answer.
template <Env E>
void Loop<E>::linger_less(Session& s) {
  s.phase_ends = std::min(s.phase_ends, now_ + 1s);
}

/// Close with RST, so that a close-delimited answer that broke off cannot be taken for a whole one;
/// but only when the bytes before it have arrived, or after a second.
template <Env E>
void Loop<E>::finish_reset(Session& s) {
  const Result<std::size_t> unacked = sys_.unacked_bytes(s.fd);
  if (unacked && *unacked > 0 && now_ < s.phase_ends) {
    s.phase_idle = std::min(s.phase_ends, now_ + 5ms);
    return;
  }
  break_off_now(s);
}

/// Nothing more can come or go. What broke off is seen to have, should the client still listen.
template <Env E>
void Loop<E>::end_gone(Session& s) {
  if (s.backlogged() || closing_of(s) == core::Closing::reset) {
    break_off_now(s);
  } else {
    close(s);
  }
}

/// Close with RST. A FIN before it would make a broken answer look whole.
template <Env E>
void Loop<E>::break_off_now(Session& s) {
  s.phase = Phase::resetting;
  (void)sys_.set_linger_zero(s.fd);
  close(s);
}

template <Env E>
void Loop<E>::register_as(Session& s, Interest interest) {
  if (s.in_poller && s.interest.read == interest.read && s.interest.write == interest.write) return;
  EventSource* source = &s;
  if (!interest.read && !interest.write) {
    deregister(s);
    return;
  }
  const Result<void> done =
      s.in_poller ? poller_.modify(s.fd, source, interest) : poller_.add(s.fd, source, interest);
  if (!done) {
    s.gone.store(true, std::memory_order_relaxed);  // it could never be heard again
    deregister(s);
    return;
  }
  s.in_poller = true;
  s.interest = interest;
}

template <Env E>
void Loop<E>::deregister(Session& s) {
  if (!s.in_poller) return;
  poller_.remove(s.fd);
  s.in_poller = false;
  s.interest = Interest{};
}

template <Env E>
void Loop<E>::close(Session& s) {
  if (s.fd < 0) return;
  deregister(s);
  // A copy of the descriptor in a child that the application forked must not keep the connection
  // open.
  if (s.phase != Phase::resetting) (void)sys_.shutdown(s.fd, SHUT_RDWR);
  drop(s);
}

/// The end of a session that is out of the poller.
template <Env E>
void Loop<E>::drop(Session& s) {
  const bool within = s.cut == Cut::no && s.machine.in_head();
  if ((within || s.line_owed.load(std::memory_order_relaxed)) && !closing_everything_)
    intake_.log_unanswered(s);
  timers_.remove(s);
  idle_.remove(s);
  sys_.close(s.fd);
  s.fd = -1;
  if (s.previous != nullptr) {
    IOTAX_CHECK(s.previous->next == &s);
    s.previous->next = s.next;
  } else {
    IOTAX_CHECK(sessions_ == &s);
    sessions_ = s.next;
  }
  if (s.next != nullptr) s.next->previous = s.previous;
  if (s.outbox.get() != nullptr) s.outbox->clear();  // the session may live on for its thread
  --connections_;
  full_watch_.count(connections_, connections_max_);
  intake_.budget().descriptors.remove();
  (s.still_read ? held_ : doomed_).emplace_back(&s);
  if (accept_again_ != core::kNever) resume_accepting();
}

// ---- timers

template <Env E>
core::Duration Loop<E>::patience() noexcept {
  const core::Instant next = std::min({timers_.next(), accept_again_, queue_due_, busy_due_,
                                       deadlines_due_, intake_.warnings_due(), delay_ends_,
                                       idle_ends_, drain_ends_, next_report_, pass_again_});
  if (next == core::kNever) {
    wakes_at_.store(core::kNever, std::memory_order_relaxed);
    return kForever;
  }
  // Who comes to lead behind a long call finds the time of the last turn in now_.
  core::Instant t = sys_.now();
  if (t - RunningTime::kSlack > wakes_at_.load(std::memory_order_relaxed))
      [[unlikely]] {  // frozen within the turn
    look_at_clock();
    t = now_;
  }
  const core::Instant wakes_at = std::max(t, needs_pulse() ? std::min(next, t + kPulse) : next);
  wakes_at_.store(wakes_at, std::memory_order_relaxed);
  return wakes_at - t;
}

/// Whether a freeze would shorten a time that somebody gets. A connection that is closed because it
/// was idle for long enough is none: what it sent in time is read before.
template <Env E>
bool Loop<E>::needs_pulse() const noexcept {
  return now_ < timed_until_ || queue_due_ != core::kNever || deadlines_due_ != core::kNever ||
         stopping_ != Stopping::no;
}

template <Env E>
void Loop<E>::set_timer(Session& s) {
  core::Instant due;
  if (s.phase != Phase::open) {
    due = std::min(s.phase_ends, s.phase_idle);
  } else {
    due = s.cut == Cut::no ? s.machine.deadline() : core::kNever;
    if (s.backlogged()) due = std::min(due, s.outbox->deadline());
  }
  timers_.set(s, due);
}

template <Env E>
void Loop<E>::run_timers(const Lead& lead) {
  timers_.expire(now_, [&](TimerEntry& entry) { on_timer(lead, static_cast<Session&>(entry)); });
  on_loop_timers(lead);
}

template <Env E>
void Loop<E>::on_timer(const Lead& lead, Session& s) {
  if (s.owner.load(std::memory_order_acquire) != Owner::loop) {
    if (s.interest.write && s.outbox->late(now_)) {
      warn_slow(s, 0);  // the thread that runs the request may be setting it
      s.gone.store(true, std::memory_order_relaxed);
      (void)sys_.shutdown(s.fd, SHUT_RDWR);
      s.outbox->clear();
      deregister(s);
      Owner expected = Owner::lent;
      s.owner.compare_exchange_strong(expected, Owner::surprised, std::memory_order_acq_rel);
    }
    timers_.set(s, now_ + 1s);  // it is another thread's; look again
    return;
  }
  switch (s.phase) {
    case Phase::lingering:
      close(s);
      return;
    case Phase::resetting:
      finish_reset(s);
      if (s.fd >= 0) set_timer(s);
      return;
    case Phase::open:
      break;
  }
  if (is_held(s)) {
    settle(s);  // a late thread gave it back without a word
    return;
  }
  if (s.backlogged() && s.outbox->late(now_)) {
    warn_slow(s, s.status);
    break_off_now(s);
    return;
  }
  if (s.cut != Cut::no) {
    settle(s);
    return;
  }
  if (waits_for_reader(s)) {
    set_timer(s);
    return;
  }
  s.machine.on_time(now_);
  step(lead, s);
}

template <Env E>
void Loop<E>::warn_slow(const Session& s, int status) {
  intake_.warn(s, status, "the client takes the answer too slowly (--send-timeout, --min-rate)",
               s.line.view());
}

/// Clients wait in the queue of the system until it is watched again.
template <Env E>
void Loop<E>::ignore(Listener& listener) {
  if (std::exchange(listener.in_poller, false)) poller_.remove(listener.fd);
}

template <Env E>
void Loop<E>::pause_accepting(Listener& listener, core::Duration pause) {
  ignore(listener);
  accept_again_ = std::min(accept_again_, now_ + pause);
}

template <Env E>
void Loop<E>::resume_accepting() {
  accept_again_ = core::kNever;
  full_ = false;
  if (holding_ || threads_ == 0) return;
  for (const auto& listener : listeners_) {
    if (listener->in_poller) continue;
    EventSource* source = listener.get();
    listener->in_poller = bool(poller_.add(listener->fd, source, Interest{true, false}));
    if (!listener->in_poller) accept_again_ = now_ + 100ms;
  }
}

template <Env E>
void Loop<E>::on_loop_timers(const Lead& lead) {
  if (now_ >= accept_again_) resume_accepting();
  if (now_ >= intake_.warnings_due()) intake_.settle_warnings(now_);
  if (now_ >= pass_again_) pass_idle();
  if (stopping_ == Stopping::no) return;
  if (now_ >= delay_ends_) begin_draining(lead);
  if (now_ >= idle_ends_) {
    idle_ends_ = core::kNever;
    closing_idle_ = true;
  }
  if (closing_idle_)
    close_idle(lead);  // in every turn: late threads give sessions back without a word
  if (now_ >= next_report_) {
    report_drain();
    next_report_ = now_ + 10s;
  }
  if (now_ >= drain_ends_) cut();
}

// ---- giving connections away

/// From now on requests that arrive wait with the system, for another worker or for go_on().
template <Env E>
void Loop<E>::hold() {
  if (holding_ || stopping_ != Stopping::no) return;
  holding_ = true;
  for (const auto& listener : listeners_) ignore(*listener);
  sharing_.accepting(0);
  settle_idle();
}

template <Env E>
void Loop<E>::go_on() {
  if (!std::exchange(holding_, false)) return;
  pass_again_ = core::kNever;
  sharing_.accepting(threads_);
  resume_accepting();
  settle_idle();
}

template <Env E>
void Loop<E>::settle_idle() {
  for (Session* s = sessions_; s != nullptr;) {
    Session* const following = s->next;
    if (is_idle(*s)) settle(*s);
    s = following;
  }
}

/// Idle, and not listened to.
template <Env E>
bool Loop<E>::is_held(const Session& s) const noexcept {
  return holding_ && is_idle(s);
}

/// Give the held connections to the supervisor, as many as its channel takes now.
template <Env E>
void Loop<E>::pass_idle() {
  pass_again_ = core::kNever;
  if (!holding_) return;
  for (Session* s = sessions_; s != nullptr;) {
    Session* const following = s->next;
    if (is_idle(*s)) {
      deregister(*s);
      if (!channel_.report(Report::passed, {}, s->fd)) {
        pass_again_ = now_ + 1ms;
        return;
      }
      drop(*s);  // the connection itself lives on
    }
    s = following;
  }
  if (!channel_.report(Report::all_passed)) pass_again_ = now_ + 1ms;
}

/// A connection that another worker has given away.
template <Env E>
void Loop<E>::adopt(int fd) {
  if (fd < 0) return;
  const Result<SocketAddress> peer = sys_.getpeername(fd);
  open_session(Accepted{fd, peer ? *peer : SocketAddress{}});
}

// ---- stopping

template <Env E>
void Loop<E>::stop(const Lead& lead, Stop how) {
  if (how <= asked_) return;
  const bool first = asked_ == Stop::none;
  asked_ = how;
  look_at_clock();
  if (first) {
    stopping_ = Stopping::delayed;
    delay_ends_ = how == Stop::drain ? now_ + config_.shutdown_delay : now_;
  } else if (how == Stop::drain) {
    idle_ends_ = now_ + kIdleAfterTerm;  // until now it was to retire
  }
  if (how != Stop::drain || now_ >= delay_ends_) begin_draining(lead);
  if (first && how == Stop::prompt && config_.interactive) {
    if (const std::string held = held_up(); !held.empty()) {
      log_.server(Level::info, "Waiting for " + held + ". Ctrl-C again stops now.");
    }
  }
  if (how == Stop::now) cut();
  doomed_.clear();
}

/// Serve what the system has accepted for us, then refuse the others.
template <Env E>
void Loop<E>::begin_draining(const Lead& lead) {
  if (stopping_ == Stopping::delayed) {
    stopping_ = Stopping::draining;
    delay_ends_ = core::kNever;
    if (std::exchange(holding_, false)) settle_idle();
    if (asked_ != Stop::retire) accept_the_last();
    for (const auto& listener : listeners_) let_go(*listener);
    listeners_.clear();
    sharing_.accepting(0);
    accept_again_ = core::kNever;
    for (Session* s = sessions_; s != nullptr; s = s->next) {
      if (s->phase != Phase::lingering) continue;
      linger_less(*s);
      set_timer(*s);
    }
    drain_ends_ = now_ + config_.graceful_timeout;
    next_report_ = now_ + 2s;
    if (asked_ != Stop::retire) idle_ends_ = now_ + kIdleAfterTerm;
  }
  if (asked_ == Stop::prompt || asked_ == Stop::now) {
    closing_idle_ = true;
    close_idle(lead);
  }
}

/// Or a client that comes between the last accept and the close would be reset, not refused.
template <Env E>
void Loop<E>::accept_the_last() {
  for (const auto& listener : listeners_) (void)sys_.turn_deaf(listener->fd);
  (void)sys_.poll({}, kHandshake);  // a client that has begun one believes that it is connected
  for (const auto& listener : listeners_) {
    for (Accepting last = Accepting::took; last == Accepting::took || last == Accepting::skipped;) {
      last = accept_one(*listener);
    }
  }
}

template <Env E>
void Loop<E>::let_go(Listener& listener) {
  ignore(listener);
  sys_.close(listener.fd);
}

template <Env E>
void Loop<E>::close_idle(const Lead& lead) {
  for (Session* s = sessions_; s != nullptr;) {
    Session* const following = s->next;
    close_if_idle(lead, *s);
    s = following;
  }
}

template <Env E>
void Loop<E>::close_if_idle(const Lead& lead, Session& s) {
  if (is_idle(s)) receive(lead, s);  // a request may have arrived: it is served
  if (s.fd >= 0 && is_idle(s)) close(s);
}

template <Env E>
bool Loop<E>::is_idle(const Session& s) const noexcept {
  return s.owner.load(std::memory_order_acquire) == Owner::loop && s.phase == Phase::open &&
         !s.backlogged() && s.machine.idle();
}

/// The drain is over: everything closes that no application thread holds.
template <Env E>
void Loop<E>::cut() {
  drain_ends_ = core::kNever;
  next_report_ = core::kNever;
  if (stopping_ == Stopping::cut) return;
  stopping_ = Stopping::cut;
  if (const std::string held = held_up(); !held.empty()) {
    log_.server(Level::warning, "Stopped waiting for " + held);
  }
  for (Session* s = sessions_; s != nullptr;) {
    Session* const following = s->next;
    if (!s->gone.load(std::memory_order_relaxed)) s->cut_off.store(true, std::memory_order_relaxed);
    s->gone.store(true, std::memory_order_relaxed);
    if (s->owner.load(std::memory_order_acquire) == Owner::loop) close(*s);
    s = following;
  }
}

template <Env E>
void Loop<E>::log_lent() {
  for (Session* s = sessions_; s != nullptr; s = s->next) {
    if (s->owner.load(std::memory_order_acquire) != Owner::loop) intake_.log_lent(*s, now_);
  }
}

template <Env E>
void Loop<E>::report_drain() {
  if (const std::string held = held_up(); !held.empty()) {
    log_.server(Level::info, "Waiting for " + held);
  }
}

/// "2 requests (GET /a, 4 s; GET /b, 1 s)"; empty when nothing runs or waits.
template <Env E>
std::string Loop<E>::held_up() {
  std::size_t count = 0;
  std::string named;
  for (Session* s = sessions_; s != nullptr; s = s->next) {
    if (s->owner.load(std::memory_order_acquire) == Owner::loop && !s->backlogged()) continue;
    ++count;
    if (count > 5) continue;
    if (!named.empty()) named += "; ";
    append_escaped(named, s->line.view());
    named += ", " + std::to_string((now_ - s->ready_at) / 1s) + " s";
  }
  if (count == 0) return {};
  if (count > 5) named += "; ...";
  return std::to_string(count) + (count == 1 ? " request (" : " requests (") + named + ")";
}

template <Env E>
void Loop<E>::close_everything() {
  closing_everything_ = true;
  while (sessions_ != nullptr) close(*sessions_);
  held_.clear();
  for (const auto& listener : listeners_) sys_.close(listener->fd);
  listeners_.clear();
  channel_.close();
  doomed_.clear();
}

}  // namespace iotax::driver
