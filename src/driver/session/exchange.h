// Exchange over a session: the operations of the application's side of one request, called by the
// thread that runs it. It translates; the Worker waits and leads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "driver/application.h"
#include "driver/env.h"
#include "driver/session/claim.h"
#include "driver/session/http_date.h"
#include "driver/session/session.h"

namespace iotax::driver {

template <Env E, class Worker>
class SessionExchange final : public Exchange {
 public:
  using Session = driver::Session<E>;

  SessionExchange(Worker& worker, unsigned thread) noexcept
      : worker_(worker), thread_(thread), guarded_(worker.config().deadlines()) {}

  void begin(Session& s, core::Instant now) noexcept {
    s_.store(&s, std::memory_order_relaxed);
    s.stream.called_at = now;
    open_.store(true, std::memory_order_relaxed);
    if (guarded_) [[unlikely]]
      claim_.begin(now);
  }
  /// The application has returned; kNever: the caller has not read the clock. False: the session
  /// has been taken away.
  [[nodiscard]] bool end(core::Instant now = core::kNever) noexcept {
    const bool ours = !guarded_ || claim_.end();
    if (ours && session().stream.log_line.load(std::memory_order_relaxed) != Line::none)
        [[unlikely]]
      worker_.intake().access_log().log_responded(session(),
                                                  now != core::kNever ? now : worker_.now());
    return ours;
  }
  /// Whether the application's side has ended the response.
  [[nodiscard]] bool ended() const noexcept { return !open_.load(std::memory_order_relaxed); }

  // ---- by a thread that takes the session away
  struct Taken {
    Session* session;
    Withdrawn when;
  };
  [[nodiscard]] Claim<E>& claim() noexcept { return claim_; }
  /// Empty: the call has moved on since `seen` was read.
  [[nodiscard]] std::optional<Taken> take(ClaimWord seen) noexcept {
    // Read before the claim: once the session is taken, the thread may return and start its next
    // call. These values change only together with the word.
    Session* const s = s_.load(std::memory_order_relaxed);
    const bool complete = ended();
    if (!claim_.take(seen)) return std::nullopt;
    if (complete) return Taken{s, Withdrawn::complete};
    return Taken{s, s->stream.status != 0 ? Withdrawn::after_head : Withdrawn::before_head};
  }

  [[nodiscard]] const core::Head& head() const noexcept override {
    return session().link.machine.head();
  }
  [[nodiscard]] const Peer& peer() const noexcept override { return session().link.endpoints; }
  [[nodiscard]] std::string_view request_id() const noexcept override {
    return session().stream.id.view();
  }

  [[nodiscard]] std::optional<std::uint64_t> body_bytes() const noexcept override {
    if (!session().stream.streaming)
      return session().stream.body ? session().stream.body->size() : 0;
    if (head().content == core::Content::length) return head().content_bytes;
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::span<const std::byte>> body_in_memory() const noexcept override {
    if (session().stream.streaming) return std::nullopt;
    if (!session().stream.body) return std::span<const std::byte>{};
    return session().stream.body->in_memory();
  }

  [[nodiscard]] bool body_is_stored() const noexcept override {
    return !session().stream.streaming;
  }

  void seek_body(std::uint64_t offset) override {
    const Inside inside(*this);
    if (inside) session().stream.body_taken = offset;
  }

  BodyRead read_body(std::span<std::byte> into) override {
    const Inside inside(*this);
    if (!inside) return {0, BodyError::disconnected};
    return worker_.read_body(thread_, session(), into);
  }

  /// The temporary file that holds the body; -1: there is none, or no request.
  [[nodiscard]] int stored_body_fd() noexcept {
    if (ended()) return -1;
    const Inside inside(*this);
    return inside && session().stream.body ? session().stream.body->file_fd() : -1;
  }

  void inform(int status, const core::ResponseFields& fields) override {
    const Inside inside(*this);
    if (!inside) return;
    session().link.machine.inform(head().id, status, fields);
    (void)worker_.deliver(thread_, session());
  }

  // The machine's part of respond() and body() is inlined completely, as the compiler did while
  // only one driver called it: 200 instructions per request.
  [[gnu::flatten]] void respond(core::ResponseHead& head) override {
    const Inside inside(*this);
    if (!inside) return;
    if (head.date.empty()) head.date = worker_.intake().date(date_);
    if (head.server.empty()) head.server = worker_.config().server_header;
    Session& s = session();
    if (!worker_.config().request_id_header.empty()) [[unlikely]]
      head.request_id = {worker_.config().request_id_header, s.stream.id.view()};
    if (worker_.stopping()) s.link.machine.close_soon();
    worker_.intake().access_log().responded(s, head.fields);
    const int status = s.link.machine.respond(s.link.machine.head().id, head);
    if (status == 0) return;  // the request has been rejected meanwhile
    s.stream.status = s.link.cut.load(std::memory_order_relaxed) == Cut::by_shutdown
                          ? Stream<E>::kNeverSent
                          : status;
  }

  [[gnu::flatten]] Sent body(std::span<const std::byte> block) override {
    const Inside inside(*this);
    Session& s = session();
    if (!inside || s.link.disconnected.load(std::memory_order_relaxed)) return Sent::gone;
    const core::Outcome outcome = s.link.machine.body(s.link.machine.head().id, block);
    s.stream.response_bytes = s.link.machine.body_given();
    if (block.size() > core::kCopyBytesMax && worker_.deliver(thread_, s) == Sent::gone) {
      return Sent::gone;
    }
    return sent(outcome);
  }

  Sent body_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) override {
    const Inside inside(*this);
    if (!inside || gone()) return Sent::gone;
    session().stream.file = std::move(file);
    session().stream.file_offset = offset;
    const core::Outcome outcome = session().link.machine.body_file(head().id, length);
    session().stream.response_bytes = session().link.machine.body_given();
    return sent(outcome);
  }

  Sent deliver() override {
    const Inside inside(*this);
    if (!inside) return Sent::gone;
    check_owner();
    if (ended()) worker_.log_access(session());  // the rest of the call is not for the client
    return worker_.deliver(thread_, session());
  }

  Sent finish() override {
    const Inside inside(*this);
    if (!inside) return Sent::gone;
    check_owner();
    Session& s = session();
    if (s.link.machine.is_short()) s.stream.end = End::app_error;
    open_.store(false, std::memory_order_relaxed);
    return sent(s.link.machine.finish(s.link.machine.head().id));
  }

  void fail(int status, std::string_view sentence) override {
    const Inside inside(*this);
    if (!inside) return;
    open_.store(false, std::memory_order_relaxed);
    if (session().stream.status != 0) return;  // it has been rejected and logged
    const ErrorText error = session().stream.error;
    worker_.intake().respond(session(), status,
                             {End::app_error, error.view().empty() ? "app_error" : error.view()},
                             sentence, {}, false);
  }

  void abort() override {
    const Inside inside(*this);
    if (!inside) return;
    session().stream.end = End::app_error;
    open_.store(false, std::memory_order_relaxed);
    session().link.machine.abort(head().id);
  }

  void collect(std::size_t index, std::string_view value) override {
    const Inside inside(*this);
    if (inside) worker_.intake().access_log().collect(session(), index, value);
  }
  void failed_with(std::string_view exception) override {
    const Inside inside(*this);
    if (inside) session().stream.error.assign(exception);
  }

  [[nodiscard]] bool gone() const noexcept override {
    return session().link.disconnected.load(std::memory_order_relaxed);
  }

 private:
  /// The thread owns the session while an object of this class exists and is true. Costs one branch
  /// when no deadlines are configured.
  class Inside {
   public:
    explicit Inside(SessionExchange& exchange) noexcept : exchange_(exchange) {
      if (exchange_.guarded_) [[unlikely]] {
        claimed_ = exchange_.claim_.enter();
        is_ours_ = claimed_;
      }
    }
    Inside(const Inside&) = delete;
    ~Inside() {
      if (claimed_) [[unlikely]]
        exchange_.claim_.leave(exchange_.worker_.now());
    }
    explicit operator bool() const noexcept { return is_ours_; }

   private:
    SessionExchange& exchange_;
    bool claimed_ = false;
    bool is_ours_ = true;
  };

  /// A call whose session was taken away must not reach it: it may belong to the next request.
  void check_owner() const {
    IOTAX_CHECK(session().stream.owner.load(std::memory_order_relaxed) != Owner::loop);
  }
  [[nodiscard]] Session& session() const noexcept { return *s_.load(std::memory_order_relaxed); }

  static Sent sent(core::Outcome outcome) noexcept {
    switch (outcome) {
      case core::Outcome::ok:
        return Sent::ok;
      case core::Outcome::over_length:
        return Sent::over_length;
      case core::Outcome::short_length:
        return Sent::short_length;
      case core::Outcome::complete:
        return Sent::complete;
    }
    return Sent::ok;
  }

  Worker& worker_;
  unsigned thread_;
  const bool guarded_;
  Atomic<E, Session*> s_{nullptr};  // written by the thread while it owns the session
  Atomic<E, bool> open_{false};     // likewise
  Claim<E> claim_;                  // used only with deadlines
  DateCache date_;                  // for this thread's responses
};

}  // namespace iotax::driver
