// The member functions of BasicWorker (worker.h): setting up and stopping, the interpreter,
// application threads, the lead, the spare.
#pragma once

#include <algorithm>
#include <cerrno>
#include <utility>

#include "driver/worker.h"

namespace iotax::driver {

// ---- setting up and stopping

template <Env E>
BasicWorker<E>::BasicWorker(Sys& sys, const Config& config, Application& application, Log& log,
                            const LeadTuning& tuning, const std::optional<Place>& place)
    : sys_(sys),
      config_(config),
      application_(application),
      log_(log),
      tuning_(tuning),
      reports_calls_(config.tells_when_busy || config.requests_max != 0),
      own_page_(place ? nullptr : std::make_unique<PrivatePage>(config.threads)),
      place_(place ? *place : Place{own_page_->page(), 0}),
      seat_(place_.page.seat(place_.seat)),
      loop_(sys, config, application, log, place_),
      deadlines_(sys, config, Page::calls_of(config.threads)),
      present_(config.threads) {
  for (unsigned thread = 0; thread < Page::calls_of(config.threads); ++thread) {
    slots_.push_back(std::make_unique<Slot>(*this, thread, place_.page.call(place_.seat, thread)));
  }
}

template <Env E>
BasicWorker<E>::~BasicWorker() {
  if (finished_.load(std::memory_order_acquire) && abandoned_) return;
  for (const int fd : {wake_.read, wake_.write, kick_.read, kick_.write}) {
    if (fd >= 0) sys_.close(fd);
  }
}

template <Env E>
Result<void> BasicWorker<E>::open() {
  for (PipeEnds* const ends : {&wake_, &kick_}) {
    const Result<PipeEnds> made = sys_.pipe();
    if (!made) return Errno{made.error()};
    *ends = *made;
  }
  return loop_.open(wake_.read);
}

template <Env E>
Result<void> BasicWorker<E>::add_listener(int fd, std::string authority) {
  const Result<int> own = sys_.duplicate(fd);
  if (!own) return Errno{own.error()};
  loop_.add_listener(*own, std::move(authority));
  return {};
}

template <Env E>
Result<void> BasicWorker<E>::add_channel(int fd) {
  const Result<int> own = sys_.duplicate(fd);
  if (!own) return Errno{own.error()};
  loop_.add_channel(*own);
  supervised_ = true;
  return {};
}

template <Env E>
Result<void> BasicWorker<E>::run() {
  Result<void> listening = loop_.listen();
  if (!listening) {
    end_threads();
    return listening;
  }
  Result<Thread<E>> spare = sys_.start_thread("iotax-spare", [this] { spare_main(); });
  if (!spare) {
    end_threads();
    return Errno{spare.error()};
  }
  spare_ = std::move(*spare);
  app_loop(0, true);
  spare_.join();
  return {};
}

template <Env E>
void BasicWorker<E>::run_thread(unsigned thread) {
  app_loop(thread, false);
}

template <Env E>
void BasicWorker<E>::stop(Stop how, int exit_code) noexcept {
  const std::uint32_t wanted =
      static_cast<std::uint32_t>(how) | static_cast<std::uint32_t>(exit_code) << 8;
  std::uint32_t seen = stop_.load(std::memory_order_relaxed);
  while ((seen & 0xff) < static_cast<std::uint32_t>(how) &&
         !stop_.compare_exchange_weak(seen, wanted)) {
  }
  ring(wake_.write);
}

template <Env E>
Status BasicWorker<E>::status() const noexcept {
  Status status;
  status.connections = loop_.connections();
  status.queued = queued_.load(std::memory_order_relaxed);
  status.threads = config_.threads;
  status.direct = direct_.load(std::memory_order_relaxed);
  for (const auto& slot : slots_) {
    status.requests += slot->requests.load(std::memory_order_relaxed);
    status.running += slot->call.running() ? 1 : 0;
  }
  return status;
}

template <Env E>
void BasicWorker<E>::abandon_in_child() noexcept {
  abandoned_ = true;
  finished_.store(true, std::memory_order_release);
  spare_.forget();
}

/// Nothing is left to serve: every thread may go. By the holder of the lead.
template <Env E>
bool BasicWorker<E>::end_if_stopped() {
  if (!loop_.stopped()) {
    if (loop_.overdue() && !std::exchange(ended_process_, true)) {
      loop_.log_lent();
      application_.end_process(static_cast<int>(stop_.load(std::memory_order_relaxed) >> 8));
    }
    return false;
  }
  if (deadlines_.on() && !std::exchange(ended_process_, true)) {
    if (waits_for_a_thread()) {
      ended_process_ = false;
      return false;
    }
    if (slots_[0]->loss != Loss::none) {  // it would be waited for
      application_.end_process(static_cast<int>(stop_.load(std::memory_order_relaxed) >> 8));
    }
  }
  end_threads();
  return true;
}

/// Every thread of the worker may go, and does when it is out of its call.
template <Env E>
void BasicWorker<E>::end_threads() {
  std::vector<unsigned> idle;
  {
    const std::lock_guard lock(mutex_);
    finished_.store(true, std::memory_order_release);
    idle.swap(idle_);
    for (const unsigned thread : idle) mark(thread, kWakeExit);
  }
  for (const unsigned thread : idle) sys_.futex_wake(slots_[thread]->wake, 1);
  deadlines_.close();
  watch(kNow);
  ring(kick_.write);
}

template <Env E>
void BasicWorker<E>::ring(int fd) noexcept {
  static constexpr std::array kOurs{std::byte{0}};
  (void)sys_.write(fd, kOurs);  // EAGAIN: the pipe is full, so the reader wakes anyway
}

// ---- the interpreter

/// Take the interpreter for a phase. Who waited long for it may keep it as long: an equal share
/// beside a thread that computes. Returns the time at which it was had, since waiting for it is not
/// the call's fault.
template <Env E>
core::Instant BasicWorker<E>::enter(unsigned thread) {
  Slot& slot = *slots_[thread];
  const core::Instant asked = loop_.noticed_now();
  slot.app_lock.store(AppLockState::waiting, std::memory_order_relaxed);
  application_.enter(thread);
  slot.app_lock.store(AppLockState::has, std::memory_order_relaxed);
  slot.entered = true;
  const core::Instant had = loop_.noticed_now();
  const core::Duration waited = had - asked;
  slot.credit_until = waited > tuning_.long_wait ? had + waited : core::Instant{};
  return had;
}

/// The same to call the application for `s`. Nothing: it has taken so long that the leader, another
/// thread by now, has withdrawn `s`.
template <Env E>
std::optional<core::Instant> BasicWorker<E>::enter_for(unsigned thread, Session& s) {
  if (!deadlines_.on()) [[likely]]
    return enter(thread);
  Slot& slot = *slots_[thread];
  slot.offer.make(s, loop_.noticed_now());
  const core::Instant had = enter(thread);
  if (slot.offer.accept()) return had;
  stuck_.fetch_sub(1);
  threads_changed_.store(true);
  mail_.store(true);
  ring(wake_.write);
  return std::nullopt;
}

template <Env E>
void BasicWorker<E>::leave(unsigned thread) {
  Slot& slot = *slots_[thread];
  if (!slot.entered) return;
  slot.entered = false;
  slot.credit_until = {};
  slot.app_lock.store(AppLockState::out, std::memory_order_relaxed);
  application_.leave(thread);
}

template <Env E>
bool BasicWorker<E>::has_credit(const Slot& slot) {
  return slot.credit_until != core::Instant{} && sys_.now() < slot.credit_until;
}

template <Env E>
void BasicWorker<E>::leave_unless_credit(unsigned thread) {
  if (slots_[thread]->entered && !has_credit(*slots_[thread])) leave(thread);
}

// ---- application threads

template <Env E>
void BasicWorker<E>::app_loop(unsigned thread, bool leading) {
  Slot& slot = *slots_[thread];
  if (leading) {
    lead_.store(LeadWord{1, thread, LeadState::held}, std::memory_order_relaxed);
    lead_loop(thread);
  }
  while (!finished_.load(std::memory_order_acquire)) {
    std::unique_lock lock(mutex_);
    if (slot.loss != Loss::none && !come_back(thread)) break;
    leave_direct_if_calm();
    LeadWord seen = lead_.load();
    const bool may_take = !queue_.empty() && (direct_ || seen.holder() != LeadWord::kSpare);
    if (slot.incoming && !may_take) slot.incoming = waking_ = false;
    if (finished_.load(std::memory_order_relaxed)) break;
    if (!may_take) busy_.one_is_free();
    if (!direct_ && seen.state() == LeadState::parked &&
        lead_.compare_exchange_strong(seen, seen.next(thread, LeadState::held))) {
      lock.unlock();
      lead_loop(thread);
      continue;
    }
    if (may_take) {
      Session& s = *queue_.pop();
      queued_.store(queue_.size(), std::memory_order_relaxed);
      lock.unlock();
      run_queued(thread, s);
      continue;
    }
    slot.app_lock.store(AppLockState::out, std::memory_order_relaxed);
    slot.wake.fetch_and(kWakeSignals, std::memory_order_relaxed);
    idle_.push_back(thread);
    const bool keep_for_grant = slot.entered && !direct_;
    lock.unlock();
    if (wait_idle(thread, keep_for_grant)) lead_loop(thread);
  }
  leave(thread);
}

/// Sleep until woken. True: the lead was granted. `keep_for_grant`: our share of the interpreter
/// lasts, and the spare's turn ends soon.
template <Env E>
bool BasicWorker<E>::wait_idle(unsigned thread, bool keep_for_grant) {
  Slot& slot = *slots_[thread];
  if (keep_for_grant && has_credit(slot) && slot.wake.load(std::memory_order_acquire) == 0) {
    sys_.futex_wait(slot.wake, 0, 2 * tuning_.patience);
  }
  std::uint32_t bits = slot.wake.load(std::memory_order_acquire);
  while ((bits & ~kWakeSignals) == 0) {
    if ((bits & kWakeSignals) != 0) {
      slot.wake.fetch_and(~std::uint32_t{kWakeSignals}, std::memory_order_relaxed);
      run_signal_handlers(thread);
    } else {
      leave(thread);
      sys_.futex_wait(slot.wake, 0, kForever);
    }
    bits = slot.wake.load(std::memory_order_acquire);
  }
  slot.incoming = (bits & kWakeRequest) != 0;
  return (bits & kWakeLead) != 0;
}

template <Env E>
void BasicWorker<E>::run_signal_handlers(unsigned thread) {
  const bool entered = slots_[thread]->entered;
  if (!entered) enter(thread);
  if (application_.run_signal_handlers()) stop(Stop::prompt);
  if (!entered) leave(thread);
}

/// Lead until the lead is lost or the worker has stopped.
template <Env E>
void BasicWorker<E>::lead_loop(unsigned thread) {
  IOTAX_CHECK(lead_.load(std::memory_order_relaxed).holder() == thread);
  const Lead lead;
  parked_.store(false, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    while (!queue_.empty()) loop_.ready().push(queue_.pop());
    queued_.store(0, std::memory_order_relaxed);
    loop_.set_queue_since(core::kNever, {});
    loop_.set_busy_due(core::kNever);
  }
  // Marked while it was in a call: it will not be idle now.
  if (thread == 0 &&
      (slots_[0]->wake.fetch_and(~std::uint32_t{kWakeSignals}) & kWakeSignals) != 0) {
    loop_.keep_signals();
  }
  Events events;
  loop_.look_at_clock();
  if (deadlines_.on()) look_at_deadlines(lead);
  for (;;) {
    const std::size_t n = wait_for_events(thread, events);
    seat_.turn();
    loop_.process(lead, std::span(events).first(n));
    if (!after_network(lead, thread)) return;
    if (end_if_stopped()) break;
    if (!run_ready(lead, thread)) return;
    leave_unless_credit(thread);
    loop_.flush(lead);
    if (end_if_stopped()) break;
  }
  leave(thread);
}

template <Env E>
std::size_t BasicWorker<E>::wait_for_events(unsigned thread, Events& events) {
  Slot& slot = *slots_[thread];
  const auto look = [&](core::Duration timeout) {
    const Result<std::size_t> n = loop_.poll(events, timeout);
    return n ? *n : 0;
  };
  std::size_t n = 0;
  const bool more =
      !loop_.ready().empty() || loop_.has_signals() || mail_.load(std::memory_order_relaxed);
  if (many_ || slot.entered || more) n = look(core::Duration::zero());
  if (n == 0 && slot.entered && !more)
    n = look(tuning_.patience);  // our share of the interpreter lasts
  if (n == 0 && !more) {
    leave(thread);
    if (deadlines_.on()) {
      const std::lock_guard lock(mutex_);
      set_deadline_timer(1);
    }
    const core::Duration timeout = loop_.patience();
    parked_.store(true);
    if (!mail_.load()) n = look(timeout);
    parked_.store(false, std::memory_order_relaxed);
  }
  many_ = n > 1;
  return n;
}

/// Call the application for all that is ready, one request at a time. False: the lead was lost.
template <Env E>
bool BasicWorker<E>::run_ready(const Lead& lead, unsigned thread) {
  Slot& slot = *slots_[thread];
  core::Instant called = slot.entered ? sys_.now() : core::Instant{};
  core::Instant first{};  // the first unsent answer of this turn
  while (!loop_.ready().empty()) {
    Session& s = *loop_.ready().pop();
    if (!loop_.admit(s, loop_.now())) {
      loop_.answered(s);
      continue;
    }
    lend(lead, thread, s);
    if (!slot.entered) {
      const std::optional<core::Instant> had = enter_for(thread, s);
      if (!had) {  // so the lead is another's too
        leave_unless_credit(thread);
        return false;
      }
      called = *had;
    }
    const bool ours = run(thread, s, called);
    if (!take_back(thread)) {
      finish_late(thread, s, called, ours);
      return false;
    }
    IOTAX_CHECK(ours);  // only who leads takes sessions away, or the watch when a leader told it
    if (finished_.load(std::memory_order_relaxed))
      return false;  // the child of a fork came back here
    share_.quick();
    if (s.write_wanted) read_mail(lead);  // no mail may name a session that is given back
    loop_.advance_behind(lead, s);
    if (loop_.ready().empty()) break;
    const core::Instant t = sys_.now();
    if (first == core::Instant{}) first = called;
    const bool others_wait = late_.load(std::memory_order_relaxed) != 0;
    if (t - first > tuning_.flush_after || (others_wait && t - called > tuning_.busy_after)) {
      if (loop_.ready().front() == &s)
        loop_.ready().push(loop_.ready().pop());  // what is pipelined waits for the others now
      leave_unless_credit(thread);
      loop_.flush(lead);
      first = {};
    }
    called = t;
  }
  return true;
}

/// Run the request of `s` in this thread. Entered. False: `s` was taken away meanwhile.
template <Env E>
bool BasicWorker<E>::run(unsigned thread, Session& s, core::Instant called) {
  Slot& slot = *slots_[thread];
  slot.call.begin(s.line, s.id, called);
  if (reports_calls_) [[unlikely]]
    report_call();
  slot.exchange.begin(s, called);
  application_.call(thread, slot.exchange);
  slot.requests.store(slot.requests.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  slot.call.end();
  return slot.exchange.end();
}

/// Tell the supervisor that requests run, if nobody watches, and once that this worker has had its
/// share of them.
template <Env E>
void BasicWorker<E>::report_call() {
  if (config_.tells_when_busy && seat_.wants_watching()) loop_.channel().report(Report::busy);
  if (config_.requests_max == 0) return;
  const Status now = status();
  const std::uint64_t requests = now.requests + now.running;
  if (requests < config_.requests_max) return;
  if (requests_done_.exchange(true, std::memory_order_relaxed)) return;
  loop_.channel().report(Report::requests_done, std::to_string(requests));
}

/// The call of this thread outlasted the watch: the lead is another's. What is left is to finish
/// the answer.
template <Env E>
void BasicWorker<E>::finish_late(unsigned thread, Session& s, core::Instant called, bool ours) {
  late_.fetch_add(1, std::memory_order_relaxed);
  { const std::lock_guard taker_has_flushed(mutex_); }
  judge(called);
  leave_unless_credit(thread);
  if (ours) [[likely]] {
    end_unled(s);
  } else {
    give_up(thread, s);
  }
  late_.fetch_sub(1, std::memory_order_relaxed);
}

/// Run a request of the queue, without the lead.
template <Env E>
void BasicWorker<E>::run_queued(unsigned thread, Session& s) {
  Slot& slot = *slots_[thread];
  late_.fetch_add(1, std::memory_order_relaxed);
  const std::optional<core::Instant> had =
      slot.entered ? std::optional(sys_.now()) : enter_for(thread, s);
  if (slot.incoming || queued_.load(std::memory_order_relaxed) != 0) chain(thread);
  if (!had) {
    leave_unless_credit(thread);
    late_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  const core::Instant called = *had;
  bool ours = true;
  if (loop_.admit(s, loop_.noticed_now())) {
    s.behind_earlier = false;
    ours = run(thread, s, called);
    judge(called);
  }
  leave_unless_credit(thread);
  if (ours) [[likely]] {
    end_unled(s);
  } else {
    give_up(thread, s);
  }
  late_.fetch_sub(1, std::memory_order_relaxed);
}

template <Env E>
void BasicWorker<E>::judge(core::Instant called) {
  if (sys_.now() - called > tuning_.slow) {
    share_.slow();
  } else {
    share_.quick();
  }
}

/// Send the answer of `s` and give the session back, without the lead. By mail only when the leader
/// has something to do for it.
template <Env E>
void BasicWorker<E>::end_unled(Session& s) {
  const core::Instant t = sys_.now();
  s.hold_clock(false, t);
  s.machine.on_time(t);
  loop_.outgoing().send_output(mutex_, s, t);
  s.machine.sent(0);  // at rest from now on, also where nothing was left to send
  s.body.reset();
  const bool quiet = s.machine.idle() && s.machine.closing() == core::Closing::no &&
                     s.outbox.get() == nullptr && !s.write_wanted && !loop_.wants_room() &&
                     !s.gone.load(std::memory_order_relaxed) && !stopping();
  Owner expected = Owner::lent;
  if (quiet && s.owner.compare_exchange_strong(expected, Owner::loop, std::memory_order_acq_rel)) {
    if (stopping()) ring(wake_.write);  // the leader may have looked just before
    return;
  }
  post(returned_, s);
}

// ---- the exchange's waiting

template <Env E>
void BasicWorker<E>::step_out(unsigned thread) {
  slots_[thread]->app_lock.store(AppLockState::out, std::memory_order_relaxed);
  application_.leave(thread);
}

template <Env E>
void BasicWorker<E>::step_in(unsigned thread) {
  slots_[thread]->app_lock.store(AppLockState::waiting, std::memory_order_relaxed);
  application_.enter(thread);
  slots_[thread]->app_lock.store(AppLockState::has, std::memory_order_relaxed);
}

template <Env E>
Sent BasicWorker<E>::deliver(unsigned thread, Session& s) {
  if (!s.machine.output().empty() || s.behind_earlier) {
    step_out(thread);
    send_for_application(s, Rest::stays);
    while (!s.machine.output().empty() && !s.gone.load(std::memory_order_relaxed)) {
      const std::uint32_t seen = s.outbox->progress().load(std::memory_order_acquire);
      send_for_application(s, Rest::stays);  // room that was made before it was looked for
      if (!s.machine.output().empty()) wait_for_room(thread, s, seen);
    }
    if (!s.machine.output().empty()) send_for_application(s, Rest::kept);  // gone: it is dropped
    step_in(thread);
  }
  return s.gone.load(std::memory_order_relaxed) ? Sent::gone : Sent::ok;
}

/// What is left of the output lies where the application has it, and does not fit into the outbox:
/// wait until the reader has taken some since the progress was `seen`. Also for a while without
/// that, since what others give back is not told.
template <Env E>
void BasicWorker<E>::wait_for_room(unsigned thread, Session& s, std::uint32_t seen) {
  give_up_lead_soon(thread);
  do {
    sys_.futex_wait(s.outbox->progress(), seen, 1s);
    seen = s.outbox->progress().load(std::memory_order_acquire);
  } while (s.outbox->overfull() && !s.gone.load(std::memory_order_relaxed));
}

template <Env E>
void BasicWorker<E>::send_for_application(Session& s, Rest rest) {
  const core::Instant t = sys_.now();
  if (std::exchange(s.behind_earlier, false)) {  // a taker of the lead sends it, too
    mutex_.with_lock([&](const Locked& locked) { loop_.outgoing().send_earlier(locked, s, t); });
  }
  loop_.outgoing().send_output(mutex_, s, t, rest);
  if (s.backlogged() && s.outbox->take_began()) {
    s.write_wanted = true;
    post(writable_, s);
  }
}

template <Env E>
BodyRead BasicWorker<E>::read_body(unsigned thread, Session& s, std::span<std::byte> into) {
  if (into.empty()) return {};
  for (;;) {
    if (s.body && s.body_taken < s.body->size()) return take_stored(thread, s, into);
    if (s.body_error != BodyError::none) return {0, s.body_error};
    if (s.body_ended || !s.streaming) return {};
    s.body.reset();
    s.body_taken = 0;
    step_out(thread);
    s.hold_clock(false, loop_.noticed_now());
    receive_body(thread, s);
    s.hold_clock(!s.body_ended && s.body_error == BodyError::none, loop_.noticed_now());
    step_in(thread);
  }
}

template <Env E>
BodyRead BasicWorker<E>::take_stored(unsigned thread, Session& s, std::span<std::byte> into) {
  const bool on_disk = !s.body->in_memory();
  if (on_disk) step_out(thread);
  const BodyRead got = read_stored(s, into);
  if (on_disk) step_in(thread);
  return got;
}

/// Bring more content of a request that the application reads while it arrives; wait for it if need
/// be. Not entered.
template <Env E>
void BasicWorker<E>::receive_body(unsigned thread, Session& s) {
  if (intake().take_content(s)) {
    if (s.body_error != BodyError::none) send_for_application(s, Rest::kept);
    return;
  }
  s.machine.continue_100(s.machine.head().id);
  send_for_application(s, Rest::kept);
  wait_for_input(thread, s);
}

template <Env E>
void BasicWorker<E>::wait_for_input(unsigned thread, Session& s) {
  static constexpr std::size_t kReceiveBytes = 16 * 1024;
  std::array<std::byte, kReceiveBytes> block;
  core::Instant after_wait =
      loop_.noticed_now();  // what arrived before is looked at before it is judged
  Result<std::size_t> got = sys_.recv(s.fd, block);
  if (!got && (got.error() == EAGAIN || got.error() == EWOULDBLOCK)) {
    give_up_lead_soon(thread);
    const core::Instant due = s.machine.deadline();
    pollfd fd{s.fd, POLLIN, 0};
    const core::Duration timeout = due == core::kNever ? kForever : due - after_wait;
    if (timeout > core::Duration::zero()) (void)sys_.poll(std::span(&fd, 1), timeout);
    after_wait = loop_.noticed_now();
    got = sys_.recv(s.fd, block);
    if (due != core::kNever && after_wait - RunningTime::kSlack > due) {
      s.machine.on_time(due);  // this thread did not run since: that is not the client's fault
      s.machine.hold_clock(true);
      s.machine.on_time(after_wait);
      s.machine.hold_clock(false);
    }
  }
  s.machine.on_time(after_wait);
  if (got && *got > 0) {
    s.machine.receive(std::span(block).first(*got));
    core::Step step = s.machine.step();  // the block ends with this function: take what lies in it
    while (const auto* data = std::get_if<core::BodyData>(&step)) {
      if (!intake().store(s, data->bytes)) s.body_error = BodyError::storage;
      step = s.machine.step();
    }
    if (std::holds_alternative<core::BodyEnd>(step)) s.body_ended = true;
    if (const auto* rejected = std::get_if<core::Rejected>(&step)) {
      s.body_error = BodyError::malformed;
      intake().refuse(s, *rejected);
      send_for_application(s, Rest::kept);
    }
    if (s.body_ended) (void)s.machine.step();  // Paused: what lies behind the content is kept
    return;
  }
  if (got) {
    s.peer_finished.store(true, std::memory_order_relaxed);
    s.machine.receive_eof();
  } else if (got.error() != EAGAIN && got.error() != EWOULDBLOCK) {
    s.gone.store(true, std::memory_order_relaxed);
    s.body_error = BodyError::disconnected;
  }
}

template <Env E>
void BasicWorker<E>::log_access(Session& s) {
  if (config_.access_log) intake().log_access(s, sys_.now());
}

// ---- the lead

/// Lend the lead for one call: from here on the spare may take it. The leader's queue and unsent
/// answers go with it.
template <Env E>
void BasicWorker<E>::lend(const Lead& lead, unsigned thread, Session& s) {
  Slot& slot = *slots_[thread];
  s.behind_earlier = !s.earlier.empty(lead);
  // A taker must know why we may be late: said before lending.
  if (!slot.entered) slot.app_lock.store(AppLockState::waiting, std::memory_order_relaxed);
  slot.lent = lead_.load(std::memory_order_relaxed).next(thread, LeadState::lent);
  lead_.store(slot.lent);
  if (spare_state_.load() != kWatch) watch(kWatch);
}

/// False: the spare took the lead meanwhile. Then nothing of the loop is ours any more.
template <Env E>
bool BasicWorker<E>::take_back(unsigned thread) {
  LeadWord expected = slots_[thread]->lent;
  const LeadWord held{expected.sequence(), thread, LeadState::held};
  if (!lead_.compare_exchange_strong(expected, held, std::memory_order_acq_rel)) return false;
  return true;
}

/// Have the spare watch (kWatch), or act at once (kNow).
template <Env E>
void BasicWorker<E>::watch(SpareState wanted) {
  const std::uint32_t was = spare_state_.exchange(wanted);
  if (was == kAsleep || wanted == kNow) sys_.futex_wake(spare_state_, 1);
  if (was == kPoll) ring(kick_.write);
}

/// The application is about to wait inside the server: the spare need not find out by itself.
template <Env E>
void BasicWorker<E>::give_up_lead_soon(unsigned thread) {
  if (lead_.load() == slots_[thread]->lent) watch(kNow);
}

/// What other threads and the system asked for. False: running signal handlers cost us the lead.
template <Env E>
bool BasicWorker<E>::after_network(const Lead& lead, unsigned thread) {
  if (mail_.load(std::memory_order_relaxed)) read_mail(lead);
  if (const Stop ordered = loop_.take_ordered(); ordered != Stop::none) this->stop(ordered);
  const std::uint32_t stop = stop_.load(std::memory_order_relaxed);
  if (stop != 0) loop_.stop(lead, static_cast<Stop>(stop & 0xff));
  if (deadlines_.on()) look_at_deadlines(lead);
  if (!loop_.take_signals()) return true;
  if (thread != 0) {
    mark(0, kWakeSignals);
    sys_.futex_wake(slots_[0]->wake, 1);
    return true;
  }
  // A handler may take long: the lead is lent meanwhile, as for a call.
  slots_[0]->lent = lead_.load(std::memory_order_relaxed).next(0, LeadState::lent);
  lead_.store(slots_[0]->lent);
  if (spare_state_.load() != kWatch) watch(kWatch);
  run_signal_handlers(0);
  return take_back(0);
}

template <Env E>
void BasicWorker<E>::post(std::vector<Session*>& box, Session& s) {
  {
    const std::lock_guard lock(mutex_);
    box.push_back(&s);
    mail_.store(true);
  }
  if (parked_.load()) ring(wake_.write);
}

template <Env E>
void BasicWorker<E>::read_mail(const Lead& lead) {
  std::vector<Session*> writable;
  std::vector<Session*> returned;
  std::vector<Session*> released;
  std::vector<Expired> expired;
  {
    const std::lock_guard lock(mutex_);
    writable.swap(writable_);
    returned.swap(returned_);
    released.swap(released_);
    expired.swap(expired_);
    if (threads_changed_.exchange(false)) accept_as_threads_allow();
    mail_.store(false);
  }
  for (Session* s : writable) loop_.watch_writable(*s);  // first: the others may close them
  for (Session* s : returned) loop_.take_back(lead, *s);
  if (!expired.empty()) deadlines_.look_at_once();
  for (const Expired& one : expired) loop_.break_off(lead, *one.session, one.when, one.age);
  for (Session* s : released) loop_.release(*s);
}

template <Env E>
void BasicWorker<E>::mark(unsigned thread, WakeBits bits) {
  slots_[thread]->wake.fetch_or(bits, std::memory_order_release);
}

// ---- the spare

/// Watch while the lead is being lent, sleep while it is not.
template <Env E>
void BasicWorker<E>::spare_main() {
  (void)sys_.set_slice(tuning_.slice);
  unsigned quiet = 0;
  LeadWord last{};
  while (!finished_.load(std::memory_order_acquire)) {
    std::uint32_t expected = kPoll;
    spare_state_.compare_exchange_strong(expected, kWatch);
    if (spare_state_.load() != kNow) sys_.futex_wait(spare_state_, kWatch, tuning_.tick);
    expected = kNow;
    const bool asked = spare_state_.compare_exchange_strong(expected, kWatch);
    const LeadWord seen = lead_.load();
    if (seen.state() == LeadState::lent && (seen == last || asked)) {
      take_over(seen);
      quiet = 0;
      last = {};
      continue;
    }
    quiet = seen == last ? quiet + 1 : 0;
    last = seen;
    if (quiet > tuning_.quiet_ticks && seen.state() != LeadState::lent && fall_asleep()) {
      quiet = 0;
      last = {};
    }
  }
}

/// False: somebody lends just now.
template <Env E>
bool BasicWorker<E>::fall_asleep() {
  std::uint32_t expected = kWatch;
  if (!spare_state_.compare_exchange_strong(expected, kAsleep)) return false;
  if (lead_.load().state() == LeadState::lent || finished_.load()) {
    expected = kAsleep;  // the lender may have looked before we lay down
    spare_state_.compare_exchange_strong(expected, kWatch);
    return false;
  }
  while (spare_state_.load() == kAsleep) sys_.futex_wait(spare_state_, kAsleep, kForever);
  return true;
}

/// The call that `seen` was lent for lasts too long: take the lead, send what is complete, and find
/// somebody to lead.
template <Env E>
void BasicWorker<E>::take_over(LeadWord seen) {
  const Lead lead;  // from the exchange below on
  {
    std::unique_lock lock(mutex_);
    LeadWord expected = seen;
    if (!lead_.compare_exchange_strong(expected, seen.next(LeadWord::kSpare, LeadState::held),
                                       std::memory_order_acquire)) {
      return;
    }
    parked_.store(false, std::memory_order_relaxed);
    loop_.look_at_clock();
    loop_.flush(lead);  // of the session in flight only what was complete before the lend: the late
                        // thread is writing the rest
    if (share_.high()) direct_ = true;
    taken_from_ = seen.holder();
    has_since_ = {};
    taker_waits_ =
        slots_[taken_from_]->app_lock.load(std::memory_order_relaxed) == AppLockState::waiting;
    if (pass_on(lead, lock)) return;
  }
  if (deadlines_.on()) look_at_deadlines(lead);
  spare_lead(lead);
}

template <Env E>
void BasicWorker<E>::spare_lead(const Lead& lead) {
  Events events;
  for (;;) {
    Result<std::size_t> n = loop_.poll(events, core::Duration::zero());
    if ((!n || *n == 0) && !mail_.load(std::memory_order_relaxed)) {
      if (!spare_park(lead)) return;
      n = loop_.poll(events, core::Duration::zero());
    }
    seat_.turn();
    loop_.process(lead, std::span(events).first(n ? *n : 0));
    (void)after_network(lead, LeadWord::kSpare);
    loop_.flush(lead);
    if (end_if_stopped()) return;
    std::unique_lock lock(mutex_);
    if (pass_on(lead, lock)) return;
  }
}

/// Give the lead to an idle application thread (true), or what is ready to the queue. Unlocks.
template <Env E>
bool BasicWorker<E>::pass_on(const Lead& lead, std::unique_lock<StateMutex<E>>& lock) {
  leave_direct_if_calm();
  const bool held_up = !idle_.empty() && somebody_waits_for_interpreter();
  const bool granted = !direct_ && !idle_.empty() && !held_up;
  int woken = -1;
  if (granted) {
    woken = static_cast<int>(grant());
  } else {
    hand_to_queue(lead);
    look_if_busy();
    if (direct_ && !held_up) woken = wake_one();
  }
  lock.unlock();
  if (woken >= 0) sys_.futex_wake(slots_[static_cast<unsigned>(woken)]->wake, 1);
  return granted;
}

/// Wait for the network without holding anything: a late thread may take the lead from here without
/// a word. False: one did, or an idle thread was granted the lead.
template <Env E>
bool BasicWorker<E>::spare_park(const Lead& lead) {
  std::unique_lock lock(mutex_);
  leave_direct_if_calm();
  const bool wanted = !idle_.empty() && (!direct_ || !queue_.empty());
  const bool held_up = wanted && somebody_waits_for_interpreter();
  if (wanted && !held_up && !direct_) return !pass_on(lead, lock);
  if (wanted && !held_up) {
    if (const int woken = wake_one(); woken >= 0) {
      lock.unlock();
      sys_.futex_wake(slots_[static_cast<unsigned>(woken)]->wake, 1);
      return true;
    }
  }
  if (mail_.load()) return true;
  if (deadlines_.on()) set_deadline_timer(0);
  auto view = loop_.park_view();
  const core::Duration timeout = held_up ? tuning_.tick : loop_.patience();
  const LeadWord word =
      lead_.load(std::memory_order_relaxed).next(LeadWord::kSpare, LeadState::parked);
  spare_state_.store(kPoll);
  parked_.store(true);
  lead_.store(word);
  lock.unlock();
  const Result<Parked> parked = loop_.park(view, kick_.read, timeout);
  LeadWord expected = word;
  const bool ours = lead_.compare_exchange_strong(
      expected, word.next(LeadWord::kSpare, LeadState::held), std::memory_order_acquire);
  if (!ours || (parked && parked->kicked)) drain_kicks();
  // Overtaken: `parked_` is the new holder's to write.
  if (ours) parked_.store(false, std::memory_order_relaxed);
  return ours;
}

template <Env E>
void BasicWorker<E>::drain_kicks() {
  std::array<std::byte, 64> bytes;
  (void)sys_.read(kick_.read, bytes);
}

/// The thread to wake afterwards. Under the mutex.
template <Env E>
unsigned BasicWorker<E>::grant() {
  const unsigned thread = pop_idle();
  lead_.store(lead_.load(std::memory_order_relaxed).next(thread, LeadState::held),
              std::memory_order_release);
  mark(thread, kWakeLead);
  return thread;
}

template <Env E>
unsigned BasicWorker<E>::pop_idle() {
  const unsigned thread = idle_.back();
  idle_.pop_back();
  return thread;
}

/// A thread that waits for the interpreter will come back for all that is ready. A second one in
/// that queue only makes it longer, and a third can starve beside a thread that computes. The
/// thread that lost the lead counts for as long as its call is not slow.
template <Env E>
bool BasicWorker<E>::somebody_waits_for_interpreter() {
  for (const auto& slot : slots_) {
    if (slot->app_lock.load(std::memory_order_relaxed) == AppLockState::waiting) return true;
  }
  if (!taker_waits_) return false;
  if (slots_[taken_from_]->app_lock.load(std::memory_order_relaxed) == AppLockState::has) {
    const core::Instant t = sys_.now();
    if (has_since_ == core::Instant{}) has_since_ = t;
    if (t - has_since_ < tuning_.slow) return true;
  }
  taker_waits_ = false;
  return false;
}

/// What is ready waits where threads without the lead find it; what has waited too long is
/// answered. Under the mutex.
template <Env E>
void BasicWorker<E>::hand_to_queue(const Lead& lead) {
  const bool hopeless = lost_ == present_;
  while (hopeless && !queue_.empty()) {
    loop_.refuse_hopeless(*queue_.pop());
  }
  while (!loop_.ready().empty()) {
    Session* const s = loop_.ready().pop();
    if (hopeless) {
      loop_.refuse_hopeless(*s);
    } else if (queue_.size() < config_.queued_max) {
      queue_.push(s);
    } else {
      loop_.turn_away(*s);
    }
  }
  while (!queue_.empty() && !loop_.admit(*queue_.front(), loop_.now())) {
    loop_.answered(*queue_.pop());
  }
  const bool stuck = stuck_.load() != 0;
  if (stuck) refuse_stuck_queue();
  loop_.flush(lead);
  queued_.store(queue_.size(), std::memory_order_relaxed);
  loop_.set_queue_since(queue_.empty() ? core::kNever : queue_.front()->ready_at,
                        stuck ? config_.request_timeout : config_.queue_timeout);
}

/// If no thread has been idle for a while, and requests wait, people are told. Under the mutex.
template <Env E>
void BasicWorker<E>::look_if_busy() {
  if (idle_.empty()) {
    busy_.all_busy(loop_.now());
  } else {
    busy_.one_is_free();
  }
  if (loop_.now() >= busy_.due(queue_.size())) {
    busy_.said(loop_.now());
    std::size_t running = 0;
    std::optional<Running> oldest;
    for (const auto& slot : slots_) {
      std::optional<Running> call = slot->call.read();
      if (!call) continue;
      ++running;
      if (!oldest || call->since < oldest->since) oldest = std::move(call);
    }
    const std::string threads = std::to_string(present_);
    std::string text = std::to_string(running) + " of " + threads + " threads busy";
    if (oldest) {
      text += " (";
      append_escaped(text, oldest->line);
      text += ", " + std::to_string((loop_.now() - oldest->since) / 1s) + " s)";
    }
    text += "; " + std::to_string(queue_.size());
    text += queue_.size() == 1 ? " request waiting" : " requests waiting";
    log_.server(Level::warning, text + "; --threads N gives more");
  }
  loop_.set_busy_due(busy_.due(queue_.size()));
}

/// A thread for the queue, unless one is on its way already; -1: none. Under the mutex; the caller
/// wakes it afterwards.
template <Env E>
int BasicWorker<E>::wake_one() {
  if (waking_ || idle_.empty() || queue_.empty()) return -1;
  waking_ = true;
  const unsigned thread = pop_idle();
  mark(thread, kWakeRequest);
  return static_cast<int>(thread);
}

/// With the interpreter, before the call: the next thread may come now. So at most one woken thread
/// is on its way to the interpreter.
template <Env E>
void BasicWorker<E>::chain(unsigned thread) {
  int woken = -1;
  {
    const std::lock_guard lock(mutex_);
    if (slots_[thread]->incoming) slots_[thread]->incoming = waking_ = false;
    woken = wake_one();
  }
  if (woken >= 0) sys_.futex_wake(slots_[static_cast<unsigned>(woken)]->wake, 1);
}

template <Env E>
void BasicWorker<E>::leave_direct_if_calm() {
  if (direct_ && share_.low()) direct_ = false;
}

}  // namespace iotax::driver
